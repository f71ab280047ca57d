internal import CKernel

/// A transfer that was accepted while its file was open without O_DIRECT, and that the program has set since: the flags
/// of an open file are shared by all its descriptors, and no flag of a transfer overrides this one. Unaligned, it would
/// end with EINVAL; the kernel's own Linux AIO looks at the flags once, at submission.
extension Transfer {
    /// Whether that may be why it ended with EINVAL.
    var mayHaveBecomeDirect: Bool {
        guard descriptor.kind == .buffered, !descriptor.isRegistered, !flags.contains(.throughPageCache) else {
            return false
        }
        return isDirectByNow
    }

    fileprivate var isDirectByNow: Bool {
        UInt64(max(0, Kernel.openFlags(descriptor.number))) & CK_O_DIRECT != 0
    }
}

extension Transfer {
    /// Without the flags that are to be dropped where the file knows none. nil if there are no such.
    var withoutAppendFlags: Transfer? {
        guard flags.contains(.dropsAppend) else { return nil }
        var plain = self
        plain.flags.remove([.append, .noAppend, .dropsAppend])
        return plain
    }
}

extension Operation {
    /// On a worker: the transfer through the page cache.
    func resultThroughPageCache(_ transfer: Transfer) -> Int {
        var transfer = transfer
        transfer.flags.remove(.throughPageCache)
        let number = transfer.descriptor.number
        let openFlags = UInt64(max(0, Kernel.openFlags(number)))
        guard openFlags & CK_O_DIRECT != 0 else { return attempt(transfer, flags: transfer.flags.kernelFlags) }
        // The close of another descriptor of the file would let go of the process's record locks.
        if !Kernel.hasRecordLocks(number) {
            let kept = openFlags & (CK_O_ACCMODE | CK_O_APPEND | CK_O_SYNC | CK_O_DSYNC)
            let other = Kernel.reopen(number, kept)
            if other >= 0 {
                defer { Kernel.close(Int32(other)) }
                transfer.descriptor.number = Int32(other)
                return attempt(transfer, flags: transfer.flags.kernelFlags)
            }
        }
        // Without /proc, without the right to open it again, or with locks: for the time of the call the flag is not set.
        Kernel.setOpenFlags(number, Int(openFlags & ~CK_O_DIRECT))
        defer { Kernel.setOpenFlags(number, Int(openFlags)) }
        return attempt(transfer, flags: transfer.flags.kernelFlags)
    }
}
