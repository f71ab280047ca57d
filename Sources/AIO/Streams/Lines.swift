/// The lines of a file or a stream as bytes: the result of ``File/byteLines(limit:deadline:)``,
/// ``ReadableStream/byteLines(limit:deadline:)`` and ``Chunks/byteLines(limit:)``.
public struct ByteLines: AsyncSequence, Sendable {
    public typealias Element = [UInt8]
    public typealias Failure = IOError

    let chunks: Chunks
    let limit: Int

    public func makeAsyncIterator() -> Iterator { Iterator(reader: LineReader(chunks, limit: limit)) }

    /// Returns one line after the other. One task uses it at a time.
    public struct Iterator: AsyncIteratorProtocol {
        var reader: LineReader

        public mutating func next() async throws(IOError) -> [UInt8]? {
            if let line: [UInt8] = try reader.lineInChunk() { return line }
            return try await reader.nextLine()
        }

        public mutating func next(isolation actor: isolated (any Actor)?) async throws(IOError) -> [UInt8]? {
            if let line: [UInt8] = try reader.lineInChunk() { return line }
            return try await reader.nextLine()
        }
    }
}

/// The lines of a file or a stream as text: the result of ``File/lines(limit:deadline:)``,
/// ``ReadableStream/lines(limit:deadline:)`` and ``Chunks/lines(limit:)``.
public struct Lines: AsyncSequence, Sendable {
    public typealias Element = String
    public typealias Failure = IOError

    let chunks: Chunks
    let limit: Int

    public func makeAsyncIterator() -> Iterator { Iterator(reader: LineReader(chunks, limit: limit)) }

    /// Returns one line after the other. One task uses it at a time.
    public struct Iterator: AsyncIteratorProtocol {
        var reader: LineReader

        public mutating func next() async throws(IOError) -> String? {
            if let line: String = try reader.lineInChunk() { return line }
            return try await reader.nextLine()
        }

        public mutating func next(isolation actor: isolated (any Actor)?) async throws(IOError) -> String? {
            if let line: String = try reader.lineInChunk() { return line }
            return try await reader.nextLine()
        }
    }
}

extension Chunks {
    /// The lines in these chunks, without their terminators ("\n" or "\r\n"), which the last line may lack. The
    /// sequence throws ``IOError/Code/lineTooLong`` at a line of more than `limit` bytes, by default 1 MiB, and the
    /// errors of the chunks.
    public func byteLines(limit: Int = 1 << 20) -> ByteLines { ByteLines(chunks: self, limit: Swift.max(0, limit)) }

    /// The lines in these chunks as text, without their terminators; invalid UTF-8 is replaced by U+FFFD. The sequence
    /// throws the errors of ``byteLines(limit:)``.
    public func lines(limit: Int = 1 << 20) -> Lines { Lines(chunks: self, limit: Swift.max(0, limit)) }
}

extension File {
    /// The lines of the file as bytes, of at most `limit` bytes each, without their terminators: those of
    /// ``chunks(of:range:readahead:deadline:)`` through ``Chunks/byteLines(limit:)``. The deadline is that of the whole
    /// sequence.
    public func byteLines(limit: Int = 1 << 20, deadline: Deadline = .never) -> ByteLines {
        chunks(deadline: deadline).byteLines(limit: limit)
    }

    /// The lines of the file as text, of at most `limit` bytes each, without their terminators: those of
    /// ``chunks(of:range:readahead:deadline:)`` through ``Chunks/lines(limit:)``. The deadline is that of the whole
    /// sequence.
    public func lines(limit: Int = 1 << 20, deadline: Deadline = .never) -> Lines {
        chunks(deadline: deadline).lines(limit: limit)
    }
}

extension ReadableStream {
    /// The lines of the stream as bytes, of at most `limit` bytes each, without their terminators: those of
    /// ``chunks(of:deadline:)`` through ``Chunks/byteLines(limit:)``. The default limit is lower than for a file, since
    /// a peer chooses the length of its lines. A line is returned as soon as its end has arrived. Bytes that arrived
    /// behind it belong to the sequence, and are lost when the loop exits; use a ``BufferedReader`` to read lines and
    /// other data from one stream.
    public func byteLines(limit: Int = 64 << 10, deadline: Deadline = .never) -> ByteLines {
        chunks(deadline: deadline).byteLines(limit: limit)
    }

    /// The lines of the stream as text, of at most `limit` bytes each, without their terminators: those of
    /// ``chunks(of:deadline:)`` through ``Chunks/lines(limit:)``. A line is returned as soon as its end has arrived.
    /// Bytes that arrived behind it belong to the sequence, and are lost when the loop exits.
    public func lines(limit: Int = 64 << 10, deadline: Deadline = .never) -> Lines {
        chunks(deadline: deadline).lines(limit: limit)
    }
}

extension IOError {
    static func lineTooLong(_ limit: Int, _ operation: String, _ path: Path?) -> IOError {
        IOError(.lineTooLong, operation, path: path, advice: "the limit is \(limit) bytes")
    }
}
