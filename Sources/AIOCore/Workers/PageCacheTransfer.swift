internal import CKernel

extension Transfer {
    /// Executes the transfer on a worker.
    func blockingResult() -> Int {
        if form.contains(.throughPageCache) { return resultThroughPageCache() }
        let result = attempt()
        if result == -Int(EINVAL), mayHaveBecomeDirect { return resultThroughPageCache() }
        if result == -Int(EOPNOTSUPP), let plain = withoutAppendFlags { return plain.blockingResult() }
        // Some files take no offset without looking like a stream, such as writable files of procfs.
        guard result == -Int(ESPIPE), offset >= 0, descriptor.kind != .stream else { return result }
        return atCurrentPosition.blockingResult()
    }

    /// Executes the transfer through the page cache although the file has O_DIRECT.
    private func resultThroughPageCache() -> Int {
        var transfer = self
        transfer.form.remove(.throughPageCache)
        let number = transfer.descriptor.number
        let openFlags = UInt64(max(0, Kernel.openFlags(number)))
        guard openFlags & CK_O_DIRECT != 0 else { return transfer.attempt() }
        // Closing another descriptor of the file would release the process's record locks.
        if !Kernel.hasRecordLocks(number) {
            let kept = openFlags & (CK_O_ACCMODE | CK_O_APPEND | CK_O_SYNC | CK_O_DSYNC)
            let other = Kernel.reopen(number, kept)
            if other >= 0 {
                defer { Kernel.close(Int32(other)) }
                transfer.descriptor.number = Int32(other)
                return transfer.attempt()
            }
        }
        // Without /proc, without permission to reopen the file, or with record locks: O_DIRECT is cleared for the
        // duration of the call.
        Kernel.setOpenFlags(number, Int(openFlags & ~CK_O_DIRECT))
        defer { Kernel.setOpenFlags(number, Int(openFlags)) }
        return transfer.attempt()
    }
}
