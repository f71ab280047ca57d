internal import AIOCore
internal import CKernel
internal import DropInSupport
internal import Synchronization

/// The system calls of Linux AIO, as the kernel defines them: results are values or negative errnos, pointers may be
/// anything.
enum Calls {
    /// io_setup(2).
    static func setUp(_ depth: UInt32, _ result: UInt) -> Int {
        guard Kernel.canRead(result, 8), let place = UnsafeMutableRawPointer(bitPattern: result) else {
            return -Int(EFAULT)
        }
        let kept = place.loadUnaligned(as: UInt.self)
        guard Kernel.canOverwrite(result, 8) else { return -Int(EFAULT) }
        place.storeBytes(of: kept, as: UInt.self)
        guard kept == 0, depth != 0, let library = Library.shared() else {
            return -Int(EINVAL)
        }
        guard let capacity = EventRing.capacity(forDepth: depth, processors: library.pointee.processors) else {
            return -Int(EINVAL)
        }
        let limit = Kernel.linuxAIOLimit()
        guard UInt64(depth) + limit.used + library.pointee.table.depths() <= limit.max else { return -Int(EAGAIN) }
        guard let context = library.pointee.table.make(capacity: capacity, depth: depth) else { return -Int(ENOMEM) }
        place.storeBytes(of: context.address.pointee.load(ordering: .relaxed), as: UInt.self)
        return 0
    }

    /// io_destroy(2).
    static func destroy(_ address: UInt) -> Int {
        guard let library = Library.shared(), let context = library.pointee.table.enter(address) else {
            return -Int(EINVAL)
        }
        if context.destroy(library) { return 0 }
        context.leave(1)
        return -Int(EINVAL)
    }

    /// io_submit(2).
    static func submit(_ address: UInt, _ count: Int, _ blocks: UInt) -> Int {
        Submission.submit(address, count, blocks)
    }

    /// io_cancel(2): an operation that could be asked to end ends with an event, and the answer is EINPROGRESS.
    static func cancel(_ address: UInt, _ block: UInt) -> Int {
        let key = block &+ UInt(CK_IOCB_KEY_OFFSET)
        guard Kernel.canRead(key, 4), let place = UnsafeRawPointer(bitPattern: key) else { return -Int(EFAULT) }
        guard place.loadUnaligned(as: UInt32.self) == 0, let library = Library.shared(),
            let context = library.pointee.table.enter(address)
        else { return -Int(EINVAL) }
        defer { context.leave(1) }
        guard let loop = library.pointee.runningLoop() else { return -Int(EINVAL) }
        let isFound = context.requestCancel(loop) { $0.pointee.block == block }
        return isFound ? -Int(EINPROGRESS) : -Int(EINVAL)
    }
}
