/// A sequential source of bytes: a connection, the reading end of a pipe, standard input.
public protocol ReadableStream: Sendable {
    var runtime: IORuntime { get }

    /// Reads the available bytes into the caller's memory; waits if there are none.
    ///
    /// Returns the number of bytes read: at least 1, and usually less than the size of the memory; 0 at the end of the
    /// stream, or if the memory is empty. The memory is borrowed until the call returns, and the call returns only when
    /// the kernel no longer uses it, also after a cancellation. A cancelled read has taken nothing from the stream.
    ///
    /// - Throws: `cancelled`, `deadlineExceeded`, `fileClosed` (also if the stream is closed during the wait), or the
    ///   error of the system call.
    func read(into bytes: inout MutableRawSpan, deadline: Deadline) async throws(IOError) -> Int
}

extension ReadableStream {
    /// Reads without a deadline, as `read(into:deadline:)`.
    public func read(into bytes: inout MutableRawSpan) async throws(IOError) -> Int {
        try await read(into: &bytes, deadline: .never)
    }

    /// Reads up to `count` bytes (at least 1) into a new array, which is empty at the end of the stream. Otherwise as
    /// `read(into:deadline:)`.
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

    /// Reads until the caller's memory is full. After an error, the bytes read before it are in the memory and gone
    /// from the stream. Otherwise as `read(into:deadline:)`.
    ///
    /// - Throws: `unexpectedEndOfFile` if the stream ends before that, or the errors of `read(into:deadline:)`.
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

    /// Reads exactly `count` bytes into a new array. Otherwise as `readExactly(into:deadline:)`.
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

    /// Reads until the stream ends. Throws `fileTooLarge` if there are more than `limit` bytes; the bytes read are then
    /// lost.
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
    var runtime: IORuntime { get }

    /// Writes from the caller's memory; waits if there is no room.
    ///
    /// Returns the number of bytes written: at least 1, and possibly less than the size of the memory. The kernel has
    /// accepted these bytes; their arrival is not confirmed. The memory is borrowed until the call returns, also after
    /// a cancellation. A cancelled write has written nothing.
    ///
    /// - Throws: `cancelled`, `deadlineExceeded`, `fileClosed` (also if the stream is closed during the wait),
    ///   `brokenPipe` if the peer no longer reads (SIGPIPE is never raised), or the error of the system call.
    func write(_ bytes: RawSpan, deadline: Deadline) async throws(IOError) -> Int

    /// Writes all of the caller's memory. After an error, part of it may be written. Concurrent writes of several tasks
    /// may interleave if they do not fit the kernel's buffer. Otherwise as `write(_:deadline:)`.
    func writeAll(_ bytes: RawSpan, deadline: Deadline) async throws(IOError)
}

extension WritableStream {
    /// Writes without a deadline, as `write(_:deadline:)`.
    public func write(_ bytes: RawSpan) async throws(IOError) -> Int { try await write(bytes, deadline: .never) }

    /// Writes an array, as from a span.
    public func write(_ bytes: [UInt8], deadline: Deadline = .never) async throws(IOError) -> Int {
        try await write(bytes.span.bytes, deadline: deadline)
    }

    /// Writes everything without a deadline, as `writeAll(_:deadline:)`.
    public func writeAll(_ bytes: RawSpan) async throws(IOError) { try await writeAll(bytes, deadline: .never) }

    public func writeAll(_ bytes: RawSpan, deadline: Deadline) async throws(IOError) {
        var done = 0
        while done < bytes.byteCount {
            done += try await write(bytes.extracting(droppingFirst: done), deadline: deadline)
        }
    }

    /// Writes all of an array, as from a span.
    public func writeAll(_ bytes: [UInt8], deadline: Deadline = .never) async throws(IOError) {
        try await writeAll(bytes.span.bytes, deadline: deadline)
    }

    /// Writes all of a text as UTF-8.
    public func writeAll(_ text: String, deadline: Deadline = .never) async throws(IOError) {
        try await writeAll(Array(text.utf8), deadline: deadline)
    }
}
