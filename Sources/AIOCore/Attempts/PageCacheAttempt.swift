internal import CKernel

/// Transfers that do not wait: what the page cache or the memory of tmpfs holds, what a stream has.
extension Transfer {
    /// The transfer with RWF_NOWAIT: EAGAIN if it would wait, EOPNOTSUPP if the file cannot tell.
    ///
    /// Where only the first part of a file's range is cached, the kernel returns that part. It is not taken for a
    /// short read, which would mean the end of the file, but for EAGAIN as well, unless the caller asked for
    /// `noWait` and so for what is there.
    public func attemptWithoutWaiting() -> Int {
        if isReadOfMemory { return attemptInMemory() }
        let result = attempt(flags: flags.rawValue | CK_RWF_NOWAIT)
        return isCutOff(result) ? -Int(EAGAIN) : result
    }

    /// What a buffered read at an offset comes to without waiting; nil if it has to wait, or the file cannot tell.
    func resultWithoutWaiting() -> Int? {
        guard !isWrite, offset >= 0, !throughPageCache else { return nil }
        let result = attemptWithoutWaiting()
        if result == -Int(EINVAL), mayHaveBecomeDirect { return nil }
        return result == -Int(EAGAIN) || result == -Int(EOPNOTSUPP) ? nil : result
    }

    /// What a read of a file in memory (`Descriptor.Backing`) comes to where the caller stands; nil for anything else, and
    /// for what has to wait.
    public func resultInMemory() -> Int? {
        guard isReadOfMemory, !cacheMissed, byteCount <= Transfer.inlineLimit else { return nil }
        return resultWithoutWaiting()
    }

    /// Whether it reads a file that is nowhere but in memory: those file systems know no RWF_NOWAIT, and yet wait for
    /// nothing but what is swapped out.
    @inline(__always)
    private var isReadOfMemory: Bool {
        descriptor.backing == .memory && descriptor.kind == .buffered && offset >= 0 && !isWrite
            && !flags.contains(.noWait)
    }

    private func attemptInMemory() -> Int {
        let refused = residency()
        return refused < 0 ? refused : attempt()
    }

    /// cachestat(2): 0 if none of the file's next bytes is swapped out; EAGAIN if one is, EOPNOTSUPP where the kernel
    /// does not tell (before 6.5, and of others' files).
    private func residency() -> Int {
        let byteCount = byteCount
        guard byteCount > 0 else { return 0 }
        var range = ck_cachestat_range(offset: UInt64(offset), count: UInt64(byteCount))
        var status = ck_cachestat()
        guard Kernel.cachestat(descriptor.number, &range, &status) >= 0 else { return -Int(EOPNOTSUPP) }
        return status.evicted == 0 ? 0 : -Int(EAGAIN)
    }

    /// Whether a read of the page cache got less than it asked for, and not because the file ends there.
    @inline(__always)
    private func isCutOff(_ result: Int) -> Bool {
        guard result > 0, descriptor.kind == .buffered, !isWrite, !flags.contains(.noWait), result < byteCount else {
            return false
        }
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
