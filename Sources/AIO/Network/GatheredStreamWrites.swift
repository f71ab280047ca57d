internal import AIOCore
internal import CKernel

// Several pieces of memory in one write, as `GatheredBytes.swift` has it for files.
extension WritableStream {
    /// Writes several pieces of the caller's memory one after the other, in one system call; waits if there is no room.
    ///
    /// Returns the total number of bytes written: at least 1 unless all pieces are empty, and possibly less than the
    /// pieces' total, since the kernel takes what it has room for. It may end in any of them. The memory is borrowed
    /// until the call returns, and a cancelled write has written nothing. For more than four pieces see
    /// ``write(pieces:deadline:)``. Kernel calls: sendmsg(2) with MSG_NOSIGNAL on a connection, writev(2) on a pipe, as
    /// pwritev2(2). A stream that is no type of this library writes the first piece that is not empty.
    ///
    /// - Throws: ``IOError/Code/cancelled``, ``IOError/Code/deadlineExceeded``, ``IOError/Code/fileClosed`` (also if
    ///   the stream is closed during the wait), ``IOError/Code/brokenPipe`` if the peer no longer reads, or the error
    ///   of the system call.
    public func write(
        _ first: RawSpan, _ second: RawSpan, _ third: RawSpan = RawSpan(), _ fourth: RawSpan = RawSpan(),
        deadline: Deadline = .never
    ) async throws(IOError) -> Int {
        let bytes = GatheredBytes(first, second, third, fourth)
        return try await write(bytes, deadline)
    }

    /// Writes all of several pieces of the caller's memory, one after the other.
    ///
    /// A write that ends early, in the middle of a piece, is continued until everything is written. After an error,
    /// part of it may be written; the error does not tell how much. Writes of other tasks may come in between if the
    /// pieces do not fit the kernel's buffer. The memory is borrowed until the call returns.
    ///
    /// - Throws: the errors of ``write(_:_:_:_:deadline:)``.
    public func writeAll(
        _ first: RawSpan, _ second: RawSpan, _ third: RawSpan = RawSpan(), _ fourth: RawSpan = RawSpan(),
        deadline: Deadline = .never
    ) async throws(IOError) {
        var bytes = GatheredBytes(first, second, third, fourth)
        try await writeAll(&bytes, deadline)
    }

    /// Writes arrays one after the other, in one system call, and returns the total number of bytes written.
    ///
    /// One call takes the first 1024 arrays that are not empty, the kernel's limit (IOV_MAX). Waiting, short writes,
    /// cancellation and errors are those of ``write(_:_:_:_:deadline:)``.
    public func write(pieces: [[UInt8]], deadline: Deadline = .never) async throws(IOError) -> Int {
        defer { withExtendedLifetime(pieces) {} }
        let bytes = GatheredBytes(pieces)
        return try await write(bytes, deadline)
    }

    /// Writes all of any number of arrays, one after the other, in one system call for each 1024 of them.
    ///
    /// A write that ends early is continued until everything is written. After an error, part of it may be written.
    ///
    /// - Throws: the errors of ``write(_:_:_:_:deadline:)``.
    public func writeAll(pieces: [[UInt8]], deadline: Deadline = .never) async throws(IOError) {
        defer { withExtendedLifetime(pieces) {} }
        var bytes = GatheredBytes(pieces)
        try await writeAll(&bytes, deadline)
    }

    private func writeAll(_ bytes: inout GatheredBytes, _ deadline: Deadline) async throws(IOError) {
        while !bytes.isEmpty { bytes.removeFirst(try await write(bytes, deadline)) }
    }

    private func write(_ bytes: borrowing GatheredBytes, _ deadline: Deadline) async throws(IOError) -> Int {
        guard let first = bytes.first else { return 0 }
        guard let stream = self as? any GatheringStream else { return try await write(first.bytes, deadline: deadline) }
        return try await stream.gather(bytes, deadline)
    }
}

/// A stream with a system call for several pieces. Not a requirement of `WritableStream`, whose other types need not
/// know of it.
protocol GatheringStream {
    /// Makes one write. There is at least one piece, and the memory stays where it is until the call returns.
    func gather(_ bytes: borrowing GatheredBytes, _ deadline: Deadline) async throws(IOError) -> Int
}

extension Connection: GatheringStream {
    func gather(_ bytes: borrowing GatheredBytes, _ deadline: Deadline) async throws(IOError) -> Int {
        try handle.begin("write", deadline)
        defer { handle.end() }
        if let result = try gatherNow(bytes) { return result }
        // At an address that stays fixed while the send waits for room.
        let message = UnsafeMutablePointer<ck_message>.allocate(capacity: 1)
        defer { message.deallocate() }
        message.initialize(to: ck_message(bytes.pieces, bytes.count))
        let call = SocketCall.sendMessage(descriptor, message, flags: 0, waitsFirst: handle.waitsFirst)
        return try await handle.performBegun(.socket(call), deadline, "write")
    }

    /// Sends on the calling thread, without blocking; nil if that must go to the loop.
    private func gatherNow(_ bytes: borrowing GatheredBytes) throws(IOError) -> Int? {
        guard handle.mayTryNow(handle.writeGuess) else { return nil }
        return try bytes.withFirst(Transfer.inlineLimit) { vectors, count throws(IOError) in
            var message = ck_message(vectors, count)
            let result = Kernel.sendMessage(handle.number, &message, CK_MSG_DONTWAIT | CK_MSG_NOSIGNAL)
            return try handle.attempted(Answer(ofSocket: result), handle.writeGuess, "write")
        }
    }
}

extension StreamWriter: GatheringStream {
    func gather(_ bytes: borrowing GatheredBytes, _ deadline: Deadline) async throws(IOError) -> Int {
        let transfer = bytes.transfer(handle.descriptor, Transfer.currentPosition, [])
        try handle.begin("write", deadline)
        defer { handle.end() }
        if let result = try gatherNow(bytes, transfer) { return result }
        return try await handle.performBegun(.writeVectored(transfer), deadline, "write")
    }

    /// Writes on the calling thread, without blocking; nil if that must go to the loop.
    private func gatherNow(_ bytes: borrowing GatheredBytes, _ transfer: Transfer) throws(IOError) -> Int? {
        try bytes.withFirst(Transfer.inlineLimit) { _, count throws(IOError) in
            var first = transfer
            first.count = count
            return try handle.transferNow(first, handle.writeGuess, "write")
        }
    }
}

extension ck_message {
    /// A message to the socket's peer.
    fileprivate init(_ vectors: UnsafeMutablePointer<iovec>, _ count: Int) {
        self.init()
        self.vectors = vectors
        vector_count = UInt64(count)
    }
}
