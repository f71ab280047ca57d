internal import CKernel

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
