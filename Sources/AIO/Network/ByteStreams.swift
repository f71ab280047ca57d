/// What bytes can be read from, one after the other: a connection, the reading end of a pipe, standard input.
public protocol ReadableStream: Sendable {
    var runtime: IORuntime { get }

    /// Reads into the caller's memory what there is; waits if there is nothing. Returns the bytes read, at least one and
    /// mostly fewer than there is room for; zero at the end of the stream (and without room).
    ///
    /// The memory is borrowed until this returns, which it does only once the kernel is done with it, also when the
    /// task is cancelled. A cancelled read has taken nothing from the stream. Throws `cancelled`, `deadlineExceeded`,
    /// `fileClosed` (also if the close comes while this waits), or what the system call says.
    func read(into bytes: inout MutableRawSpan, deadline: Deadline) async throws(IOError) -> Int
}

extension ReadableStream {
    /// As `read(into:deadline:)`, without a deadline.
    public func read(into bytes: inout MutableRawSpan) async throws(IOError) -> Int {
        try await read(into: &bytes, deadline: .never)
    }

    /// Reads up to `count` bytes (1 or more) into a new array, which is empty at the end. As `read(into:)`.
    public func read(upTo count: Int = 65536, deadline: Deadline = .never) async throws(IOError) -> [UInt8] {
        // A read of a stream brings what is there, which is less than this.
        let count = min(count, LargeArray.pieceSize)
        var array = try emptyRoom(for: count)
        var elements = array.mutableSpan
        var bytes = elements.mutableBytes
        let read = try await read(into: &bytes, deadline: deadline)
        array.removeLast(count - read)
        return array
    }

    /// Fills all of the caller's memory. Throws `unexpectedEndOfFile` if the stream ends before; otherwise as
    /// `read(into:)`. After an error what came before it is in the memory, and taken from the stream.
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

    /// Reads exactly `count` bytes into a new array. As `readExactly(into:)`.
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

    /// Reads until the stream ends. Throws `fileTooLarge` if more than `limit` bytes come, which are lost then.
    public func readToEnd(limit: Int = 1 << 30, deadline: Deadline = .never) async throws(IOError) -> [UInt8] {
        var content: [UInt8] = []
        while true {
            let piece = try await read(deadline: deadline)
            guard !piece.isEmpty else { return content }
            guard content.count + piece.count <= limit else {
                throw IOError(.fileTooLarge, "read", advice: "there are more than \(limit) bytes; raise the limit")
            }
            content += piece
        }
    }

    /// Uninitialized memory for `count` bytes.
    private func emptyRoom(for count: Int) throws(IOError) -> [UInt8] {
        guard count >= 0 else { throw IOError(.invalidArgument, "read", advice: "the count is negative") }
        // Without room the array is the one empty array that all threads share, and its count would be written.
        return [UInt8](unsafeUninitializedCapacity: max(count, 1)) { _, initialized in initialized = count }
    }
}

/// What bytes can be written to, one after the other: a connection, the writing end of a pipe, standard output.
public protocol WritableStream: Sendable {
    var runtime: IORuntime { get }

    /// Writes from the caller's memory; waits if there is no room. Returns the bytes written, at least one and perhaps
    /// fewer than were given.
    ///
    /// The memory is borrowed until this returns, also when the task is cancelled. A cancelled write has written nothing.
    /// What was written is on its way; nothing says that it has arrived. Throws `cancelled`, `deadlineExceeded`,
    /// `fileClosed` (also if the close comes while this waits), `brokenPipe` if nobody reads any more (and never the
    /// signal SIGPIPE), or what the system call says.
    func write(_ bytes: RawSpan, deadline: Deadline) async throws(IOError) -> Int

    /// Writes all of the caller's memory. As `write`; after an error some of it may be written. Bytes of two tasks that
    /// write at the same time may mix, if there are more than there is room for at once.
    func writeAll(_ bytes: RawSpan, deadline: Deadline) async throws(IOError)
}

extension WritableStream {
    /// As `write(_:deadline:)`, without a deadline.
    public func write(_ bytes: RawSpan) async throws(IOError) -> Int { try await write(bytes, deadline: .never) }

    /// `write` from an array.
    public func write(_ bytes: [UInt8], deadline: Deadline = .never) async throws(IOError) -> Int {
        try await write(bytes.span.bytes, deadline: deadline)
    }

    /// As `writeAll(_:deadline:)`, without a deadline.
    public func writeAll(_ bytes: RawSpan) async throws(IOError) { try await writeAll(bytes, deadline: .never) }

    public func writeAll(_ bytes: RawSpan, deadline: Deadline) async throws(IOError) {
        var done = 0
        while done < bytes.byteCount {
            done += try await write(bytes.extracting(droppingFirst: done), deadline: deadline)
        }
    }

    /// `writeAll` from an array.
    public func writeAll(_ bytes: [UInt8], deadline: Deadline = .never) async throws(IOError) {
        try await writeAll(bytes.span.bytes, deadline: deadline)
    }

    /// `writeAll` of the text as UTF-8.
    public func writeAll(_ text: String, deadline: Deadline = .never) async throws(IOError) {
        try await writeAll(Array(text.utf8), deadline: deadline)
    }
}
