internal import AIOCore
internal import CDropIns
internal import CKernel
internal import Synchronization

/// A small context of the kernel's for questions about an operation: whether a file accepts its flags, and the result
/// of a transfer that must not wait (RWF_NOWAIT). Only the file system and the driver know, and the plain system call
/// does not tell a refusal at submission from a result.
struct KernelProbe: ~Copyable {
    private let lock = Lock()
    /// Used under the lock. 0 until it is needed, or where none can be made.
    private let context: UnsafeMutablePointer<UInt>

    init() {
        context = .allocate(capacity: 1)
        context.initialize(to: 0)
    }

    enum Answer {
        /// Refused by io_submit.
        case refused(Int)
        case done(Int)
        /// Linux AIO is not available.
        case unknown
    }

    /// Carries out a transfer that must not wait, on a stream or, through the page cache, on a file.
    ///
    /// Its event is normally available at once. A driver may still complete the transfer later (AF_ALG does). Then only
    /// this caller waits: it keeps the context, and other callers create a new one.
    borrowing func attempt(_ block: ck_iocb) -> Answer {
        lock.lock()
        guard makeContext() else {
            lock.unlock()
            return .unknown
        }
        let own = context.pointee
        let submitted = submit(block)
        let result = submitted == 1 ? Self.takeEvent(own, until: 0) : nil
        if submitted == 1, result == nil { context.pointee = 0 }
        lock.unlock()
        guard submitted == 1 else { return .refused(submitted) }
        if let result { return .done(result) }
        defer { Kernel.linuxAIODestroy(own) }
        return .done(Self.takeEvent(own, until: .never) ?? -Int(EAGAIN))
    }

    /// The result of the transfer; nil if there is no event until the deadline.
    private static func takeEvent(_ context: UInt, until deadline: Nanoseconds) -> Int? {
        var event = ck_io_event()
        return withUnsafeMutablePointer(to: &event) { event in
            var count: Int
            repeat {
                count = Kernel.linuxAIOGetEvents(context, 1, 1, UInt(bitPattern: event), deadline, mask: 0)
            } while count == -Int(EINTR)
            return count == 1 ? Int(event.pointee.result) : nil
        }
    }

    /// Why the kernel refuses a transfer for its flags; 0 if it does not. Nothing is transferred: the offset is
    /// invalid, which the kernel checks after the flags.
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
        assert(submitted != 1, "the kernel has accepted the question, whose event the next attempt would take")
        return submitted == -Int(EOPNOTSUPP) || submitted == -Int(EPERM) ? submitted : 0
    }

    private borrowing func submit(_ block: ck_iocb) -> Int {
        assert(lock.isHeld)
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
        assert(lock.isHeld)
        return context.pointee != 0 || Kernel.linuxAIOSetup(1, context) == 0
    }
}
