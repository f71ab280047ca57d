/// The lines of a file or a stream in batches, which are neither copied nor allocated one by one: the result of
/// ``File/lineBatches(limit:deadline:)``, ``ReadableStream/lineBatches(limit:deadline:)`` and
/// ``Chunks/lineBatches(limit:)``.
public struct LineBatches: AsyncSequence, Sendable {
    public typealias Element = LineBatch
    public typealias Failure = IOError

    let chunks: Chunks
    let limit: Int

    public func makeAsyncIterator() -> Iterator { Iterator(reader: LineReader(chunks, limit: limit)) }

    /// Returns one batch after the other. One task uses it at a time.
    public struct Iterator: AsyncIteratorProtocol {
        var reader: LineReader

        public mutating func next() async throws(IOError) -> LineBatch? { try await reader.nextBatch() }

        public mutating func next(isolation actor: isolated (any Actor)?) async throws(IOError) -> LineBatch? {
            try await reader.nextBatch()
        }
    }
}

/// The lines that end in one chunk; at least one. The memory returns to the runtime's pool with the last copy.
public struct LineBatch: Sendable {
    /// The line that began in an earlier chunk; nil without one.
    private let first: [UInt8]?
    /// The chunk with the other lines, which all have their terminators.
    private let chunk: Chunk?
    private let others: Range<Int>

    init(first: [UInt8]?, chunk: Chunk?, others: Range<Int>) {
        self.first = first
        self.chunk = chunk
        self.others = others
    }

    /// Gives `body` the bytes of each line in order, without the line's terminator ("\n" or "\r\n"). They must not
    /// outlive the call.
    public func forEachLine<E: Error>(_ body: (RawSpan) throws(E) -> Void) throws(E) {
        try forEachUnsafeLine { bytes throws(E) in try body(bytes.bytes) }
    }

    /// Gives `body` the bytes of each line as a pointer, which must not outlive the call.
    public func forEachUnsafeLine<E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> Void) throws(E) {
        if let first {
            try first.span.bytes.withUnsafeBytes { bytes throws(E) in try body(bytes) }
        }
        try chunk?.withUnsafeBytes { bytes throws(E) in
            var position = others.lowerBound
            while position < others.upperBound, let end = bytes.firstIndex(of: UInt8(ascii: "\n"), from: position) {
                try body(UnsafeRawBufferPointer(rebasing: bytes[position..<end]).withoutCarriageReturn)
                position = end + 1
            }
        }
    }
}

extension Chunks {
    /// The lines in these chunks, in a batch for each chunk in which a line ends. The fastest way through lines: there
    /// is no allocation and no suspension for each. The limit and the errors are those of ``byteLines(limit:)``; lines
    /// of the same chunk before one that is too long are not returned.
    public func lineBatches(limit: Int = 1 << 20) -> LineBatches {
        LineBatches(chunks: self, limit: Swift.max(0, limit))
    }
}

extension File {
    /// The lines of the file in batches: those of ``chunks(of:range:readahead:deadline:)`` through
    /// ``Chunks/lineBatches(limit:)``. The deadline is that of the whole sequence.
    public func lineBatches(limit: Int = 1 << 20, deadline: Deadline = .never) -> LineBatches {
        chunks(deadline: deadline).lineBatches(limit: limit)
    }
}

extension ReadableStream {
    /// The lines of the stream in batches: those of ``chunks(of:deadline:)`` through ``Chunks/lineBatches(limit:)``.
    /// The default limit is lower than for a file, since a peer chooses the length of its lines. Bytes that arrived
    /// behind the last line belong to the sequence, and are lost when the loop exits.
    public func lineBatches(limit: Int = 64 << 10, deadline: Deadline = .never) -> LineBatches {
        chunks(deadline: deadline).lineBatches(limit: limit)
    }
}
