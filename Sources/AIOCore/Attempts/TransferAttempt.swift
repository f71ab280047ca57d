internal import CKernel

/// A transfer as a system call on the calling thread.
extension Transfer {
    /// Blocks unless the transfer's flags, or those of the open file, say otherwise.
    public func attempt() -> Int { attempt(flags: flags.rawValue) }

    /// preadv2(2) or pwritev2(2) with these flags.
    @inline(__always)
    func attempt(flags: UInt32) -> Int {
        let number = descriptor.number
        let offset = effectiveOffset
        if isVectored {
            return isWrite
                ? Kernel.pwritev2(number, vectors, count, offset, flags)
                : Kernel.preadv2(number, vectors, count, offset, flags)
        }
        var single = iovec(iov_base: base, iov_len: count)
        guard isWrite else { return Kernel.preadv2(number, &single, 1, offset, flags) }
        if count == 0, descriptor.kind == .stream, flags & ~CK_RWF_NOWAIT == 0 {
            return writeNothing(isWaiting: flags & CK_RWF_NOWAIT == 0)
        }
        return Kernel.pwritev2(number, &single, 1, offset, flags)
    }

    /// A write of zero bytes to a stream. send(2) and write(2) reach the file: a socket sends an empty message or
    /// reports a broken connection, a terminal reports a hang-up; pwritev2(2) returns 0 without calling it. The
    /// buffer's address is passed on, since the kernel rejects an invalid one (EFAULT) for zero bytes too.
    private func writeNothing(isWaiting: Bool) -> Int {
        let number = descriptor.number
        let sent = Kernel.send(number, base, 0, isWaiting ? 0 : CK_MSG_DONTWAIT)
        // sendto(2) checks the address before it checks that the descriptor is a socket.
        guard sent == -Int(ENOTSOCK) || sent == -Int(EFAULT) else { return sent }
        // While one writer is inside a terminal, the next one blocks; pwritev2(2) checks the address only.
        let isReady = isWaiting || descriptor.backing != .remote || Kernel.readyEvents(number, CK_POLLOUT) != 0
        if isReady { return Kernel.write(number, base, 0) }
        var none = iovec(iov_base: base, iov_len: 0)
        return Kernel.pwritev2(number, &none, 1, -1, 0)
    }

    /// -1 for a stream, on which the kernel rejects an offset (ESPIPE).
    @inline(__always)
    var effectiveOffset: Int64 { descriptor.kind == .stream ? Transfer.currentPosition : offset }

    /// The transfer at the descriptor's own position.
    var atCurrentPosition: Transfer {
        var transfer = self
        transfer.offset = Transfer.currentPosition
        return transfer
    }

    /// `base` as the iovecs of a vectored transfer. nil is passed on to the kernel, which returns EFAULT.
    var vectors: UnsafePointer<iovec>? {
        UnsafePointer(base?.assumingMemoryBound(to: iovec.self))
    }

    /// The bytes to transfer. Reads the iovecs of a vectored transfer; `Int.max` if they cannot be read, which makes
    /// the kernel return EFAULT later.
    @inline(__always)
    var byteCount: Int { isVectored ? vectoredByteCount : count }

    private var vectoredByteCount: Int {
        guard let base else { return count }
        // The kernel refuses more (IOV_MAX).
        let vectorCount = max(0, min(count, 1024))
        return withUnsafeTemporaryAllocation(of: iovec.self, capacity: vectorCount) { vectors in
            let copy = UnsafeMutableRawBufferPointer(vectors)
            let copied = Kernel.copyOwnMemory(from: base, to: copy)
            if copied == -Int(EFAULT) || copied >= 0 && copied < copy.count { return .max }
            // Where a seccomp profile forbids the call, the pointer is trusted.
            if copied < 0 { copy.copyMemory(from: UnsafeRawBufferPointer(start: base, count: copy.count)) }
            var total = 0
            for vector in vectors { total = total.addingReportingOverflow(Int(vector.iov_len)).partialValue }
            return total
        }
    }
}
