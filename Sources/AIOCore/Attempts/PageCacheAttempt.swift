internal import CKernel

extension Operation {
    /// What a buffered read at an offset comes to without waiting; nil if it has to wait, or the file cannot tell.
    func resultWithoutWaiting() -> Int? {
        guard let (transfer, isWrite) = transfer, !isWrite, transfer.offset >= 0,
            !transfer.flags.contains(.throughPageCache)
        else { return nil }
        let result = attemptWithoutWaiting(transfer)
        if result == -Int(EINVAL), transfer.mayHaveBecomeDirect { return nil }
        return result == -Int(EAGAIN) || result == -Int(EOPNOTSUPP) ? nil : result
    }

    /// What a read of a file in memory (`Descriptor.Backing`) comes to where the caller stands; nil for anything else, and
    /// for what has to wait.
    public func resultInMemory() -> Int? {
        guard let (transfer, isWrite) = transfer, !isWrite, transfer.isReadOfMemory,
            !transfer.flags.contains(.cacheMissed)
        else { return nil }
        var isVectored = false
        if case .readVectored = self { isVectored = true }
        guard transfer.byteCount(isVectored: isVectored) <= Transfer.inlineLimit else { return nil }
        return resultWithoutWaiting()
    }

    /// A buffered read with RWF_NOWAIT: as `Transfer.attemptWithoutWaiting`, for vectored ones too.
    public func attemptWithoutWaiting(_ transfer: Transfer) -> Int {
        guard case .readVectored = self else { return transfer.attemptWithoutWaiting(isWrite: false) }
        if transfer.isReadOfMemory {
            let refused = transfer.residency(byteCount: transfer.byteCount(isVectored: true))
            return refused < 0 ? refused : attempt(transfer, flags: transfer.flags.kernelFlags)
        }
        let result = attempt(transfer, flags: transfer.flags.kernelFlags | CK_RWF_NOWAIT)
        return transfer.isCutOff(result, of: transfer.byteCount(isVectored: true)) ? -Int(EAGAIN) : result
    }
}

extension Transfer {
    /// The transfer of one buffer with RWF_NOWAIT: EAGAIN if it would wait, EOPNOTSUPP if the file cannot tell.
    ///
    /// Where only the first part of a file's range is cached, the kernel returns that part. It is not taken for a
    /// short read, which would mean the end of the file, but for EAGAIN as well, unless the caller asked for
    /// `noWait` and so for what is there.
    public func attemptWithoutWaiting(isWrite: Bool) -> Int {
        if !isWrite, isReadOfMemory { return attemptInMemory() }
        var vector = iovec(iov_base: base, iov_len: count)
        let flags = flags.kernelFlags | CK_RWF_NOWAIT
        if isWrite { return Kernel.pwritev2(descriptor.number, &vector, 1, effectiveOffset, flags) }
        let result = Kernel.preadv2(descriptor.number, &vector, 1, effectiveOffset, flags)
        return isCutOff(result, of: count) ? -Int(EAGAIN) : result
    }

    /// Whether it reads a file that is nowhere but in memory: those file systems know no RWF_NOWAIT, and yet wait for
    /// nothing but what is swapped out.
    @inline(__always)
    fileprivate var isReadOfMemory: Bool {
        descriptor.backing == .memory && descriptor.kind == .buffered && offset >= 0 && !flags.contains(.noWait)
    }

    private func attemptInMemory() -> Int {
        let refused = residency(byteCount: count)
        guard refused == 0 else { return refused }
        var vector = iovec(iov_base: base, iov_len: count)
        return Kernel.preadv2(descriptor.number, &vector, 1, offset, flags.kernelFlags)
    }

    /// cachestat(2): 0 if none of the file's next bytes is swapped out; EAGAIN if one is, EOPNOTSUPP where the kernel
    /// does not tell (before 6.5, and of others' files).
    fileprivate func residency(byteCount: Int) -> Int {
        guard byteCount > 0 else { return 0 }
        var range = ck_cachestat_range(offset: UInt64(offset), count: UInt64(byteCount))
        var status = ck_cachestat()
        guard Kernel.cachestat(descriptor.number, &range, &status) >= 0 else { return -Int(EOPNOTSUPP) }
        return status.evicted == 0 ? 0 : -Int(EAGAIN)
    }

    /// Whether a read of the page cache got less than it asked for, and not because the file ends there.
    @inline(__always)
    fileprivate func isCutOff(_ result: Int, of asked: Int) -> Bool {
        guard result > 0, result < asked, descriptor.kind == .buffered, !flags.contains(.noWait) else { return false }
        return !isEndOfFile(at: offset + Int64(result))
    }

    private func isEndOfFile(at offset: Int64) -> Bool {
        var byte: UInt8 = 0
        return withUnsafeMutablePointer(to: &byte) { byte in
            var single = iovec(iov_base: byte, iov_len: 1)
            return Kernel.preadv2(descriptor.number, &single, 1, offset, CK_RWF_NOWAIT) == 0
        }
    }

    /// Above this, a copy from the page cache is left to a worker: some 20 us of the caller's or the loop's time.
    public static var inlineLimit: Int { 256 * 1024 }
}
