internal import CKernel

extension ck_iocb {
    /// The control block of an operation; nil if the kernel would block in io_submit(2), or does not support it.
    init?(_ operation: Operation) {
        self.init()
        switch operation {
        case .transfer(let transfer): self.init(transfer)
        case .sync(let descriptor, let level):
            guard descriptor.kind == .buffered || descriptor.kind == .direct else { return nil }
            opcode = level == .data ? CK_IOCB_CMD_FDSYNC : CK_IOCB_CMD_FSYNC
            self.descriptor = UInt32(bitPattern: descriptor.number)
        case .poll(let descriptor, let events):
            // The kernel polls from a kernel thread, for which a signalfd has no signals.
            guard !Kernel.isAnonymous(descriptor.number) else { return nil }
            opcode = CK_IOCB_CMD_POLL
            self.descriptor = UInt32(bitPattern: descriptor.number)
            address = UInt64(events & 0xffff)
        default: return nil
        }
    }

    /// Direct transfers only, with RWF_NOWAIT: one that would block (on extent allocation, for a free request) ends
    /// with EAGAIN, and a worker executes it.
    private init?(_ transfer: Transfer) {
        guard transfer.descriptor.kind == .direct, transfer.descriptor.backing == .device, transfer.offset >= 0
        else { return nil }
        self.init()
        opcode = transfer.linuxAIOOpcode
        descriptor = UInt32(bitPattern: transfer.descriptor.number)
        address = UInt64(UInt(bitPattern: transfer.base))
        count = UInt64(transfer.count)
        offset = transfer.offset
        rw_flags = transfer.flags.rawValue | CK_RWF_NOWAIT
        if transfer.priority != 0 {
            flags |= CK_IOCB_FLAG_IOPRIO
            priority = Int16(bitPattern: transfer.priority)
        }
    }
}

extension Transfer {
    fileprivate var linuxAIOOpcode: UInt16 {
        if isVectored { return isWrite ? CK_IOCB_CMD_PWRITEV : CK_IOCB_CMD_PREADV }
        return isWrite ? CK_IOCB_CMD_PWRITE : CK_IOCB_CMD_PREAD
    }
}
