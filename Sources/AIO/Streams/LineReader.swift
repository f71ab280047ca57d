internal import AIOCore

/// Cuts the chunks of a file or a stream into lines. What needs no further chunk is a plain call, so a line that ends
/// in the chunk that is there costs one async frame, the caller's.
struct LineReader {
    private let source: Chunks
    private let chunks: ChunkIterator
    private var splitter: LineSplitter
    /// The chunk that is cut; nil before the first one and after the end.
    private var chunk: Chunk?
    /// The bytes of `chunk`, which keeps them alive; empty without one. Without a reference count to change for each
    /// line.
    private var bytes = UnsafeRawBufferPointer(start: nil, count: 0)
    /// Where the next line begins in `bytes`.
    private var position = 0
    private var isFinished = false

    init(_ source: Chunks, limit: Int) {
        self.source = source
        chunks = ChunkIterator(source)
        splitter = LineSplitter(limit: limit)
    }

    /// The next line, if it ends in the chunk that is there, and the task may go on.
    @inline(__always)
    mutating func lineInChunk<Line: LineValue>() throws(IOError) -> Line? {
        guard position < bytes.count, source.mayGoOn else { return nil }
        return try cut()
    }

    /// The next line, which may need further chunks.
    mutating func nextLine<Line: LineValue>() async throws(IOError) -> Line? {
        while try await hasChunk() {
            if let line: Line = try cut() { return line }
            dropChunk()
        }
        return try lastLine().map { Line(assembled: $0) }
    }

    /// The lines that end in the next chunk in which any does; at last, the line without an end.
    mutating func nextBatch() async throws(IOError) -> LineBatch? {
        while try await hasChunk() {
            let lines: (first: [UInt8]?, others: Range<Int>)
            do throws(LineTooLong) { lines = try splitter.lines(in: bytes) } catch { throw lineTooLong() }
            let chunk = chunk
            dropChunk()
            if lines.first != nil || !lines.others.isEmpty {
                return LineBatch(first: lines.first, chunk: chunk, others: lines.others)
            }
        }
        return try lastLine().map { LineBatch(first: $0, chunk: nil, others: 0..<0) }
    }

    @inline(__always)
    private mutating func cut<Line: LineValue>() throws(IOError) -> Line? {
        do throws(LineTooLong) { return try splitter.next(in: bytes, from: &position) } catch { throw lineTooLong() }
    }

    private mutating func lastLine() throws(IOError) -> [UInt8]? {
        do throws(LineTooLong) { return try splitter.end() } catch { throw lineTooLong() }
    }

    // MARK: Chunks

    /// Whether there is a chunk to cut; reads one if there is none. Throws what ends the sequence.
    private mutating func hasChunk() async throws(IOError) -> Bool {
        guard !isFinished else { return false }
        do throws(IOError) {
            do throws(IOError) { try source.checkBeginning() } catch {
                // `next` waits until the reads ahead have completed, and then throws.
                _ = try await chunks.next()
                throw error
            }
            if chunk == nil, let next = try await chunks.next() {
                chunk = next
                bytes = next.unsafeBytes
            }
        } catch {
            end()
            throw error
        }
        isFinished = chunk == nil
        return chunk != nil
    }

    /// Frees the chunk's memory for the next read.
    private mutating func dropChunk() {
        bytes = UnsafeRawBufferPointer(start: nil, count: 0)
        position = 0
        chunk = nil
    }

    // MARK: Ends

    /// Ends the sequence: what was read and not returned is dropped.
    private mutating func end() {
        isFinished = true
        dropChunk()
        splitter = LineSplitter(limit: splitter.limit)
    }

    private mutating func lineTooLong() -> IOError {
        end()
        return .lineTooLong(splitter.limit, "read", source.source.path)
    }
}
