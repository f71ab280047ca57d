/// Reads the chunks of a file, some of them ahead. It is used by one task at a time.
public final class ChunkIterator: AsyncIteratorProtocol {
    public typealias Element = Chunk
    public typealias Failure = IOError

    /// A chunk on its way.
    private struct Read: Sendable {
        var offset: Int64
        var wanted: Int
        var handover: StreamHandover
        var task: Task<IOError?, Never>
    }

    private let source: Chunks
    /// Oldest first.
    private var reads: [Read] = []
    /// Where the next read is to begin.
    private var offset: Int64
    private var extent: FileExtent?
    private var isFinished = false

    init(_ source: Chunks) {
        self.source = source
        offset = source.range.lowerBound
    }

    /// Each read ends by itself then, and gives its buffer back.
    deinit { cancelReads() }

    public func next() async throws(IOError) -> Chunk? { try await nextChunk() }

    public func next(isolation actor: isolated (any Actor)?) async throws(IOError) -> Chunk? {
        try await nextChunk()
    }

    private func nextChunk() async throws(IOError) -> Chunk? {
        guard !isFinished else { return nil }
        do throws(IOError) {
            try checkArguments()
            // What was read ahead is there without waiting.
            if Task.isCancelled { throw IOError(.cancelled, "read", path: source.file.path) }
            let isStream = source.file.descriptor.kind == .stream
            if let chunk = isStream ? try await readStream() : try await takeFirst() { return chunk }
        } catch {
            await finish()
            throw error
        }
        await finish()
        return nil
    }

    private func checkArguments() throws(IOError) {
        guard source.size < 1 || source.readahead < 1 || source.range.lowerBound < 0 else { return }
        let advice = "size and readahead are at least 1, and the range begins at 0 or later"
        throw IOError(.invalidArgument, "read", path: source.file.path, advice: advice)
    }

    // MARK: Streams

    private func readStream() async throws(IOError) -> Chunk? {
        let count = nextCount
        guard count > 0, let buffer = try await newBuffer(count, mayWait: true) else { return nil }
        buffer.count = try await source.file.read(buffer.base, count, offset, [], .never)
        guard buffer.count > 0 else { return nil }
        defer { offset += Int64(buffer.count) }
        return Chunk(buffer, at: offset - source.range.lowerBound)
    }

    // MARK: Files

    private func takeFirst() async throws(IOError) -> Chunk? {
        let extent = try await knownExtent()
        try await startReads(extent, mayWait: true)
        guard let first = reads.first else { return nil }
        let chunk = try await chunk(of: first)
        reads.removeFirst()
        if chunk.count < first.wanted {
            await finish()
        } else {
            // While the caller is busy with this one.
            try await startReads(extent, mayWait: false)
        }
        return chunk.count > 0 ? chunk : nil
    }

    private func knownExtent() async throws(IOError) -> FileExtent {
        if let extent { return extent }
        let found = FileExtent(try await source.file.status(), source.file.descriptor.kind)
        extent = found
        return found
    }

    /// Beyond the known size one read goes ahead alone: the file may have grown, or not tell its size.
    private func startReads(_ extent: FileExtent, mayWait: Bool) async throws(IOError) {
        while reads.count < source.readahead, nextCount > 0, reads.isEmpty || offset < extent.size {
            let count = nextCount
            // Own reads may have all that the pool gives: with one in flight there is no waiting for more.
            guard let buffer = try await newBuffer(count, mayWait: mayWait && reads.isEmpty) else { return }
            reads.append(start(buffer, count, extent.blockSize))
            offset += Int64(count)
        }
    }

    private func start(_ buffer: StreamBuffer, _ count: Int, _ blockSize: Int) -> Read {
        let (file, offset) = (source.file, offset)
        let handover = StreamHandover(buffer)
        let task = Task { () -> IOError? in
            guard let buffer = handover.take() else { return nil }
            do throws(IOError) { try await file.fill(buffer, count, at: offset, blockSize) } catch { return error }
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
        guard let buffer = read.handover.take() else { throw IOError(.cancelled, "read", path: source.file.path) }
        return Chunk(buffer, at: read.offset)
    }

    // MARK: Both

    /// Bytes that the next read is for; 0 at the end of the range.
    private var nextCount: Int { Int(min(Int64(source.size), max(0, source.range.upperBound - offset))) }

    private func newBuffer(_ size: Int, mayWait: Bool) async throws(IOError) -> StreamBuffer? {
        try await source.file.runtime.streamBuffer(size, mayWait: mayWait)
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
