/// Reads the chunks of a file, with readahead, or those of a stream. One task uses it at a time.
public final class ChunkIterator: AsyncIteratorProtocol {
    public typealias Element = Chunk
    public typealias Failure = IOError

    /// A read in flight.
    private struct Read: Sendable {
        var offset: Int64
        var wanted: Int
        var handover: StreamHandover
        var task: Task<IOError?, Never>
    }

    private let chunks: Chunks
    /// Reads in flight, oldest first.
    private var reads: [Read] = []
    /// The offset of the next read.
    private var offset: Int64
    private var extent: FileExtent?
    private var isFinished = false

    init(_ chunks: Chunks) {
        self.chunks = chunks
        offset = chunks.range.lowerBound
    }

    /// The reads end by themselves and return their buffers.
    deinit { cancelReads() }

    public func next() async throws(IOError) -> Chunk? { try await nextChunk() }

    public func next(isolation actor: isolated (any Actor)?) async throws(IOError) -> Chunk? {
        try await nextChunk()
    }

    private func nextChunk() async throws(IOError) -> Chunk? {
        guard !isFinished else { return nil }
        do throws(IOError) {
            try checkArguments()
            // Checked first, since a chunk that was read ahead would be returned without a suspension.
            try chunks.checkBeginning()
            if let chunk = try await oneMore() { return chunk }
        } catch {
            await finish()
            throw error
        }
        await finish()
        return nil
    }

    private func oneMore() async throws(IOError) -> Chunk? {
        if case .file(let file) = chunks.source, file.descriptor.kind != .stream {
            return try await takeFirst(of: file)
        }
        return try await readStream()
    }

    private func checkArguments() throws(IOError) {
        guard chunks.size < 1 || chunks.readahead < 1 || chunks.range.lowerBound < 0 else { return }
        let advice = "size and readahead must be at least 1, and the range must begin at 0 or later"
        throw IOError(.invalidArgument, "read", path: chunks.source.path, advice: advice)
    }

    // MARK: Streams

    private func readStream() async throws(IOError) -> Chunk? {
        let count = nextCount
        guard count > 0, let buffer = try await newBuffer(count, mayWait: true) else { return nil }
        buffer.count = try await chunks.source.read(buffer.base, count, offset, chunks.deadline)
        guard buffer.count > 0 else { return nil }
        defer { offset += Int64(buffer.count) }
        return Chunk(buffer, at: offset - chunks.range.lowerBound)
    }

    // MARK: Files

    private func takeFirst(of file: File) async throws(IOError) -> Chunk? {
        let extent = try await knownExtent(of: file)
        try await startReads(file, extent, mayWait: true)
        guard let first = reads.first else { return nil }
        let chunk = try await chunk(of: first)
        reads.removeFirst()
        if chunk.count < first.wanted {
            await finish()
        } else {
            // These reads run while the caller processes this chunk.
            try await startReads(file, extent, mayWait: false)
        }
        return chunk.count > 0 ? chunk : nil
    }

    private func knownExtent(of file: File) async throws(IOError) -> FileExtent {
        if let extent { return extent }
        let found = FileExtent(try await file.status(deadline: chunks.deadline), file.descriptor.kind)
        extent = found
        return found
    }

    /// Beyond the known size only one read is in flight: the file may have grown, or not report its size.
    private func startReads(_ file: File, _ extent: FileExtent, mayWait: Bool) async throws(IOError) {
        while reads.count < chunks.readahead, nextCount > 0, reads.isEmpty || offset < extent.size {
            let count = nextCount
            // The iterator's own reads may hold all buffers of the pool, so it waits for one only if no read is in
            // flight.
            guard let buffer = try await newBuffer(count, mayWait: mayWait && reads.isEmpty) else { return }
            reads.append(start(file, buffer, count, extent.blockSize))
            offset += Int64(count)
        }
    }

    private func start(_ file: File, _ buffer: StreamBuffer, _ count: Int, _ blockSize: Int) -> Read {
        let (offset, deadline) = (offset, chunks.deadline)
        let handover = StreamHandover(buffer)
        let task = Task { () -> IOError? in
            guard let buffer = handover.take() else { return nil }
            do throws(IOError) {
                try await file.fill(buffer, count, at: offset, blockSize, deadline)
            } catch {
                return error
            }
            handover.put(buffer)
            return nil
        }
        return Read(offset: offset, wanted: count, handover: handover, task: task)
    }

    private func chunk(of read: Read) async throws(IOError) -> Chunk {
        let all = reads
        let error = await withTaskCancellationHandler {
            await read.task.value
        } onCancel: {
            for read in all { read.task.cancel() }
        }
        if let error { throw error }
        guard let buffer = read.handover.take() else { throw IOError(.cancelled, "read", path: chunks.source.path) }
        return Chunk(buffer, at: read.offset)
    }

    // MARK: Files and streams

    /// The number of bytes of the next read; 0 at the end of the range.
    private var nextCount: Int { Int(min(Int64(chunks.size), max(0, chunks.range.upperBound - offset))) }

    private func newBuffer(_ size: Int, mayWait: Bool) async throws(IOError) -> StreamBuffer? {
        try await chunks.source.runtime.streamBuffer(size, mayWait: mayWait)
    }

    private func cancelReads() { for read in reads { read.task.cancel() } }

    private func finish() async {
        isFinished = true
        cancelReads()
        for read in reads {
            _ = await read.task.value
            _ = read.handover.take()
        }
        reads = []
    }
}
