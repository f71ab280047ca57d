internal import AIOCore
internal import CKernel
internal import DropInSupport
internal import Synchronization

/// The system calls of Linux AIO, as the kernel defines them. Results are values or negative errnos, and any pointer
/// may be invalid.
enum Calls {
    /// io_setup(2).
    static func setUp(_ depth: UInt32, _ result: UInt) -> Int {
        guard Kernel.canRead(result, 8), let place = UnsafeMutableRawPointer(bitPattern: result) else {
            return -Int(EFAULT)
        }
        let kept = place.loadUnaligned(as: UInt.self)
        guard Kernel.canOverwrite(result, 8) else { return -Int(EFAULT) }
        place.storeBytes(of: kept, as: UInt.self)
        guard kept == 0, depth != 0 else { return -Int(EINVAL) }
        guard let library = Library.shared() else { return -Int(ENOMEM) }
        let made = make(depth, library)
        // No address is in the range of the errnos, -4095 to -1.
        guard made > 0 || made < -4095 else { return made }
        place.storeBytes(of: UInt(bitPattern: made), as: UInt.self)
        return 0
    }

    /// A context's address, or a negative errno.
    private static func make(_ depth: UInt32, _ library: UnsafeMutablePointer<Library>) -> Int {
        if library.pointee.usesNative {
            let made = library.pointee.table.makeNative(depth: depth)
            switch made {
            // Linux AIO is not allowed here: make a context without the kernel's.
            case -Int(ENOSYS), -Int(EPERM), -Int(EACCES): break
            default: return made
            }
        }
        guard let capacity = EventRing.capacity(forDepth: depth, processors: library.pointee.processors) else {
            return -Int(EINVAL)
        }
        return library.pointee.table.make(capacity: capacity, depth: depth)
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

    /// io_cancel(2). A cancelled operation completes with an event; the call returns EINPROGRESS.
    static func cancel(_ address: UInt, _ block: UInt, _ event: UInt) -> Int {
        let key = block &+ UInt(CK_IOCB_KEY_OFFSET)
        guard Kernel.canRead(key, 4), let place = UnsafeRawPointer(bitPattern: key) else { return -Int(EFAULT) }
        guard place.loadUnaligned(as: UInt32.self) == 0, let library = Library.shared(),
            let context = library.pointee.table.enter(address)
        else { return -Int(EINVAL) }
        defer { context.leave(1) }
        if context.isNative { return Kernel.linuxAIOCancel(address, block, event) }
        if let loop = library.pointee.runningLoop(),
            context.requestCancel(library, loop, where: { $0.pointee.block == block })
        {
            return -Int(EINPROGRESS)
        }
        return context.cancelOutstanding(block, event)
    }
}
