/// A sequential source of bytes: a connection, the reading end of a pipe, standard input.
public protocol ReadableStream: Sendable {
    /// The runtime that carries out the stream's operations.
    var runtime: IORuntime { get }

    /// Reads the available bytes into the caller's memory; waits if there are none.
    ///
    /// Returns the number of bytes read: at least 1, and usually less than the size of the memory; 0 at the end of the
    /// stream, or if the memory is empty. The memory is borrowed until the call returns, and the call returns only when
    /// the kernel no longer uses it, also after a cancellation. A cancelled read has taken nothing from the stream.
    ///
    /// - Throws: ``IOError/Code/cancelled``, ``IOError/Code/deadlineExceeded``, ``IOError/Code/fileClosed`` (also if
    ///   the stream is closed during the wait), ``IOError/Code/connectionReset`` or ``IOError/Code/timedOut`` on a
    ///   connection, or another error of the system call.
    func read(into bytes: inout MutableRawSpan, deadline: Deadline) async throws(IOError) -> Int
}

extension ReadableStream {
    /// Reads the available bytes into the caller's memory; waits without a deadline if there are none. Everything else
    /// is as for ``read(into:deadline:)``.
    public func read(into bytes: inout MutableRawSpan) async throws(IOError) -> Int {
        try await read(into: &bytes, deadline: .never)
    }

    /// Reads the available bytes, up to `count`, into a new array; waits if there are none. The array is empty at the
    /// end of the stream. A cancelled read has taken nothing from the stream.
    ///
    /// - Throws: ``IOError/Code/invalidArgument`` for a negative count, and the errors of ``read(into:deadline:)``.
    public func read(upTo count: Int = 65536, deadline: Deadline = .never) async throws(IOError) -> [UInt8] {
        // One read of a stream returns what is available, which is less than this limit.
        let count = min(count, LargeArray.pieceSize)
        var array = try emptyRoom(for: count)
        var elements = array.mutableSpan
        var bytes = elements.mutableBytes
        let read = try await read(into: &bytes, deadline: deadline)
        array.removeLast(count - read)
        return array
    }

    /// Reads until the caller's memory is full. After an error or a cancellation, the bytes read before it are in the
    /// memory and gone from the stream; a ``BufferedReader`` loses none. The memory is borrowed until the call returns.
    ///
    /// - Throws: ``IOError/Code/unexpectedEndOfFile`` if the stream ends before that, or the errors of
    ///   ``read(into:deadline:)``.
    public func readExactly(
        into bytes: inout MutableRawSpan, deadline: Deadline = .never
    ) async throws(IOError) {
        let count = bytes.byteCount
        var done = 0
        while done < count {
            var rest = bytes._mutatingExtracting(droppingFirst: done)
            let read = try await read(into: &rest, deadline: deadline)
            guard read > 0 else {
                let advice = "asked for \(count) bytes, got \(done)"
                throw IOError(.unexpectedEndOfFile, "read", advice: advice)
            }
            done += read
        }
    }

    /// Reads exactly `count` bytes into a new array. After an error or a cancellation, the bytes read before it are
    /// lost; a ``BufferedReader`` loses none. An array of more than 16 MiB grows with what arrives.
    ///
    /// - Throws: ``IOError/Code/unexpectedEndOfFile`` if the stream ends before that, ``IOError/Code/invalidArgument``
    ///   for a negative count, or the errors of ``read(into:deadline:)``.
    public func readExactly(count: Int, deadline: Deadline = .never) async throws(IOError) -> [UInt8] {
        guard count <= LargeArray.pieceSize else {
            return try await LargeArray.fill(count, after: []) { base, _, room throws(IOError) in
                var bytes = MutableRawSpan(_unsafeStart: base, byteCount: room)
                try await readExactly(into: &bytes, deadline: deadline)
            }
        }
        var array = try emptyRoom(for: count)
        guard count > 0 else { return array }
        var elements = array.mutableSpan
        var bytes = elements.mutableBytes
        try await readExactly(into: &bytes, deadline: deadline)
        return array
    }

    /// Reads until the stream ends, at most `limit` bytes, by default 1 GiB. After an error or a cancellation, the
    /// bytes read before it are lost.
    ///
    /// - Throws: ``IOError/Code/fileTooLarge`` if there are more than `limit` bytes, or the errors of
    ///   ``read(into:deadline:)``.
    public func readToEnd(limit: Int = 1 << 30, deadline: Deadline = .never) async throws(IOError) -> [UInt8] {
        var content: [UInt8] = []
        while true {
            let piece = try await read(deadline: deadline)
            guard !piece.isEmpty else { return content }
            guard content.count + piece.count <= limit else {
                throw IOError(.fileTooLarge, "read", advice: "the stream has more than \(limit) bytes; raise the limit")
            }
            content += piece
        }
    }

    /// Uninitialized memory for `count` bytes.
    private func emptyRoom(for count: Int) throws(IOError) -> [UInt8] {
        guard count >= 0 else { throw IOError(.invalidArgument, "read", advice: "the count is negative") }
        // An array without capacity is the empty array that all threads share, and setting its count would write to it.
        return [UInt8](unsafeUninitializedCapacity: max(count, 1)) { _, initialized in initialized = count }
    }
}

/// A sequential sink of bytes: a connection, the writing end of a pipe, standard output.
public protocol WritableStream: Sendable {
    /// The runtime that carries out the stream's operations.
    var runtime: IORuntime { get }

    /// Writes from the caller's memory; waits if there is no room.
    ///
    /// Returns the number of bytes written: at least 1, and possibly less than the size of the memory. The kernel has
    /// accepted these bytes; their arrival is not confirmed. The memory is borrowed until the call returns, also after
    /// a cancellation. A cancelled write has written nothing.
    ///
    /// - Throws: ``IOError/Code/cancelled``, ``IOError/Code/deadlineExceeded``, ``IOError/Code/fileClosed`` (also if
    ///   the stream is closed during the wait), ``IOError/Code/brokenPipe`` if the peer no longer reads (SIGPIPE is
    ///   never raised), ``IOError/Code/connectionReset`` or ``IOError/Code/timedOut`` on a connection, or another error
    ///   of the system call.
    func write(_ bytes: RawSpan, deadline: Deadline) async throws(IOError) -> Int

    /// Writes all of the caller's memory; a short write is continued, waiting for room as often as needed. The memory
    /// is borrowed until the call returns.
    ///
    /// After an error or a cancellation, part of it may be written; the error does not tell how much. Concurrent writes
    /// of several tasks may interleave if they do not fit the kernel's buffer.
    ///
    /// - Throws: the errors of ``write(_:deadline:)-(RawSpan,_)``.
    func writeAll(_ bytes: RawSpan, deadline: Deadline) async throws(IOError)
}

extension WritableStream {
    /// Writes from the caller's memory and returns the number of bytes written; waits without a deadline if there is no
    /// room. Everything else is as for ``write(_:deadline:)-(RawSpan,_)``.
    public func write(_ bytes: RawSpan) async throws(IOError) -> Int { try await write(bytes, deadline: .never) }

    /// Writes from an array and returns the number of bytes written, possibly less than the array has; waits if there
    /// is no room. Everything else is as for ``write(_:deadline:)-(RawSpan,_)``.
    public func write(_ bytes: [UInt8], deadline: Deadline = .never) async throws(IOError) -> Int {
        try await write(bytes.span.bytes, deadline: deadline)
    }

    /// Writes all of the caller's memory, without a deadline. Everything else is as for
    /// ``writeAll(_:deadline:)-(RawSpan,_)``.
    public func writeAll(_ bytes: RawSpan) async throws(IOError) { try await writeAll(bytes, deadline: .never) }

    /// Writes all of the caller's memory by one ``write(_:deadline:)-(RawSpan,_)`` after the other: the default for
    /// types that have no better way.
    public func writeAll(_ bytes: RawSpan, deadline: Deadline) async throws(IOError) {
        var done = 0
        while done < bytes.byteCount {
            done += try await write(bytes.extracting(droppingFirst: done), deadline: deadline)
        }
    }

    /// Writes all of an array. After an error or a cancellation, part of it may be written. Everything else is as for
    /// ``writeAll(_:deadline:)-(RawSpan,_)``.
    public func writeAll(_ bytes: [UInt8], deadline: Deadline = .never) async throws(IOError) {
        try await writeAll(bytes.span.bytes, deadline: deadline)
    }

    /// Writes all of a text as UTF-8. After an error or a cancellation, part of it may be written. Everything else is
    /// as for ``writeAll(_:deadline:)-(RawSpan,_)``.
    public func writeAll(_ text: String, deadline: Deadline = .never) async throws(IOError) {
        try await writeAll(Array(text.utf8), deadline: deadline)
    }
}
