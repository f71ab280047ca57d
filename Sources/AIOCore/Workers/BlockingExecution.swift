internal import CKernel

extension Operation {
    /// Carries the operation out on this thread, which may block: workers only.
    ///
    /// Returns the value or a negative errno.
    public func blockingResult() -> Int {
        switch self {
        case .nop:
            return 0
        case .read(let transfer), .readVectored(let transfer), .write(let transfer), .writeVectored(let transfer):
            if transfer.flags.contains(.throughPageCache) { return resultThroughPageCache(transfer) }
            let result = attempt(transfer, flags: transfer.flags.kernelFlags)
            if result == -Int(EINVAL), transfer.mayHaveBecomeDirect { return resultThroughPageCache(transfer) }
            if result == -Int(EOPNOTSUPP), let plain = transfer.withoutAppendFlags {
                return with(plain).blockingResult()
            }
            // Some files take no offset and do not look it, such as what procfs lets write.
            guard result == -Int(ESPIPE), transfer.offset >= 0, transfer.descriptor.kind != .stream else {
                return result
            }
            return atCurrentPosition.blockingResult()
        case .sync(let descriptor, .data):
            return Kernel.fdatasync(descriptor.number)
        case .sync(let descriptor, .full):
            return Kernel.fsync(descriptor.number)
        case .syncRange(let descriptor, let offset, let count, let flags):
            return Kernel.syncFileRange(descriptor.number, offset, count, flags)
        case .open(let directory, let path, let how):
            return Kernel.openat2(directory, path, how)
        case .close(let descriptor):
            return Kernel.close(descriptor)
        case .status(let directory, let path, let flags, let mask, let result):
            return Kernel.statx(directory, path, flags, mask, result)
        case .allocate(let descriptor, let mode, let offset, let count):
            return Kernel.fallocate(descriptor.number, mode, offset, count)
        case .truncate(let descriptor, let size):
            return Kernel.ftruncate(descriptor.number, size)
        case .advise(let descriptor, let offset, let count, let advice):
            return Kernel.fadvise(descriptor.number, offset, count, advice)
        case .rename, .unlink, .makeDirectory, .link, .symbolicLink:
            return namingResult()
        case .call(let call):
            return call.blockingResult()
        case .work(let work):
            return work.takeUnretainedValue().carryOut()
        case .socket(let call):
            return call.attempt()
        case .splice(let splice):
            return splice.result(isTee: false)
        case .tee(let splice):
            return splice.result(isTee: true)
        case .waitForChild:
            if case .done(let result) = attemptWaiting(isBegun: false) { return result }
            return -Int(EAGAIN)
        case .futexWait(let wait):
            return wait.blockingResult()
        case .poll, .pollEach, .timeout, .repeatingTimeout, .buffers, .cancel, .cancelAll:
            // These wait; the engine and the queue do that without a worker.
            return -Int(EINVAL)
        }
    }

    /// The operations that give and take away names.
    private func namingResult() -> Int {
        switch self {
        case .rename(let directory, let path, let newDirectory, let newPath, let flags):
            return Kernel.renameat2(directory, path, newDirectory, newPath, flags)
        case .unlink(let directory, let path, let flags):
            return Kernel.unlinkat(directory, path, flags)
        case .makeDirectory(let directory, let path, let permissions):
            return Kernel.mkdirat(directory, path, permissions)
        case .link(let directory, let path, let newDirectory, let newPath, let flags):
            return Kernel.linkat(directory, path, newDirectory, newPath, flags)
        case .symbolicLink(let target, let directory, let path):
            return Kernel.symlinkat(target, directory, path)
        default:
            return -Int(EINVAL)
        }
    }

    /// The read or write on this thread, which waits unless the file was opened with O_NONBLOCK.
    public func attempt(_ transfer: Transfer) -> Int { attempt(transfer, flags: transfer.flags.kernelFlags) }

    /// The read or write as preadv2(2) or pwritev2(2) with these flags.
    @inline(__always)
    func attempt(_ transfer: Transfer, flags: UInt32) -> Int {
        var single = iovec(iov_base: transfer.base, iov_len: transfer.count)
        let number = transfer.descriptor.number
        let offset = transfer.effectiveOffset
        switch self {
        case .read:
            return Kernel.preadv2(number, &single, 1, offset, flags)
        case .write:
            if transfer.count == 0, transfer.descriptor.kind == .stream, flags & ~CK_RWF_NOWAIT == 0 {
                return writeNothing(transfer, isWaiting: flags & CK_RWF_NOWAIT == 0)
            }
            return Kernel.pwritev2(number, &single, 1, offset, flags)
        case .readVectored:
            return Kernel.preadv2(number, transfer.vectors, transfer.count, offset, flags)
        default:
            return Kernel.pwritev2(number, transfer.vectors, transfer.count, offset, flags)
        }
    }
}

extension Operation {
    /// A write of zero bytes to a stream. send(2) and write(2) reach the file: a socket sends an empty message or reports that
    /// the connection is broken, a terminal that it has hung up; pwritev2(2) returns 0 without calling it. The buffer's
    /// address is passed to the kernel, which rejects an address outside user space (EFAULT) even for zero bytes.
    private func writeNothing(_ transfer: Transfer, isWaiting: Bool) -> Int {
        let descriptor = transfer.descriptor
        let number = descriptor.number
        let sent = Kernel.send(number, transfer.base, 0, isWaiting ? 0 : CK_MSG_DONTWAIT)
        // sendto(2) checks the address before it checks whether the descriptor is a socket.
        guard sent == -Int(ENOTSOCK) || sent == -Int(EFAULT) else { return sent }
        // write(2) to a terminal waits for a writer that is already in it. pwritev2(2) checks the address alone.
        let isReady = isWaiting || descriptor.backing != .remote || Kernel.readyEvents(number, CK_POLLOUT) != 0
        if isReady { return Kernel.write(number, transfer.base, 0) }
        var none = iovec(iov_base: transfer.base, iov_len: 0)
        return Kernel.pwritev2(number, &none, 1, -1, 0)
    }

    /// The read or write on this thread, with its own flags and no others: blocks unless the descriptor is open with
    /// O_NONBLOCK.
    public func attemptOnce(_ transfer: Transfer) -> Int { attempt(transfer, flags: transfer.flags.kernelFlags) }

    /// Whether it writes to its descriptor.
    public var isWrite: Bool { transfer?.isWrite ?? false }

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
    /// A stream has no offset: the kernel would refuse it with ESPIPE.
    @inline(__always)
    var effectiveOffset: Int64 { descriptor.kind == .stream ? Transfer.currentPosition : offset }

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

    /// `base` as the iovecs of a vectored transfer. nil goes to the kernel as it is, which answers EFAULT.
    var vectors: UnsafePointer<iovec>? {
        UnsafePointer(base?.assumingMemoryBound(to: iovec.self))
    }

    /// Bytes to transfer. Reads the iovecs of a vectored one; `Int.max` if they cannot be read, which the kernel then
    /// answers with EFAULT.
    func byteCount(isVectored: Bool) -> Int {
        guard isVectored, let base else { return count }
        let vectorCount = max(0, min(count, 1024))
        return withUnsafeTemporaryAllocation(of: iovec.self, capacity: vectorCount) { vectors in
            let copy = UnsafeMutableRawBufferPointer(vectors)
            let copied = Kernel.copyOwnMemory(from: base, to: copy)
            if copied == -Int(EFAULT) || copied >= 0 && copied < copy.count { return .max }
            // Where a seccomp profile forbids the call, the pointer has to be trusted.
            if copied < 0 { copy.copyMemory(from: UnsafeRawBufferPointer(start: base, count: copy.count)) }
            var total = 0
            for vector in vectors { total = total.addingReportingOverflow(Int(vector.iov_len)).partialValue }
            return total
        }
    }

    /// Above this, a copy from the page cache is left to a worker: some 20 us of the caller's or the loop's time.
    public static var inlineLimit: Int { 256 * 1024 }
}
