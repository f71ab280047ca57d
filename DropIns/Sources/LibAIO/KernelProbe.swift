internal import AIOCore
internal import CDropIns
internal import CKernel
internal import Synchronization

/// A small context of the kernel's, in which it is asked what it says of an operation: whether a file takes these flags,
/// and what comes of a transfer that may not wait (RWF_NOWAIT). Only the file system and the driver know, and what the
/// system call says does not tell a refusal from a result.
struct KernelProbe: ~Copyable {
    private let lock = Lock()
    /// Under the lock: 0 until it is needed, or where there is none.
    private let context: UnsafeMutablePointer<UInt>

    init() {
        context = .allocate(capacity: 1)
        context.initialize(to: 0)
    }

    enum Answer {
        /// By io_submit.
        case refused(Int)
        case done(Int)
        /// Linux AIO is not to be had here.
        case unknown
    }

    /// Carries a transfer out that may not wait; of a file through the page cache, or a stream.
    borrowing func attempt(_ block: ck_iocb) -> Answer {
        lock.lock()
        defer { lock.unlock() }
        guard makeContext() else { return .unknown }
        let submitted = submit(block)
        guard submitted == 1 else { return .refused(submitted) }
        var event = ck_io_event()
        let count = withUnsafeMutablePointer(to: &event) {
            // It is there: the transfer did not wait.
            Kernel.linuxAIOGetEvents(context.pointee, 1, 1, UInt(bitPattern: $0), .never, mask: 0)
        }
        return count == 1 ? .done(Int(event.result)) : .done(-Int(EAGAIN))
    }

    /// Why the kernel refuses a transfer for its flags; 0 if it does not. Nothing is transferred: the offset is none, which
    /// is looked at later.
    borrowing func refusal(_ block: ck_iocb, isWrite: Bool) -> Int {
        lock.lock()
        defer { lock.unlock() }
        guard makeContext() else { return 0 }
        var probe = block
        probe.opcode = isWrite ? CK_IOCB_CMD_PWRITE : CK_IOCB_CMD_PREAD
        probe.count = 1
        probe.offset = -1
        var byte: UInt8 = 0
        let submitted = withUnsafeMutablePointer(to: &byte) {
            probe.address = UInt64(UInt(bitPattern: $0))
            return submit(probe)
        }
        return submitted == -Int(EOPNOTSUPP) || submitted == -Int(EPERM) ? submitted : 0
    }

    private borrowing func submit(_ block: ck_iocb) -> Int {
        var block = block
        block.flags &= ~CK_IOCB_FLAG_RESFD
        return withUnsafeMutablePointer(to: &block) { block in
            var address = UInt(bitPattern: block)
            return withUnsafeMutablePointer(to: &address) {
                Kernel.linuxAIOSubmit(context.pointee, 1, UInt(bitPattern: $0))
            }
        }
    }

    private borrowing func makeContext() -> Bool {
        context.pointee != 0 || Kernel.linuxAIOSetup(1, context) == 0
    }
}
