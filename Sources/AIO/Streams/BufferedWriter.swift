public import AIOCore
internal import CKernel

/// Buffered, asynchronous writing of a file or a stream, with few system calls: a full buffer is written while the
/// caller continues.
///
/// Buffers are written in order. On regular files and block devices several are in flight concurrently, each to its own
/// range; on streams, and on files opened with ``File/OpenOptions/append``, one at a time. The data is in the file
/// after ``flush(sync:deadline:)`` or ``close(sync:deadline:)``, and durable if these are given a level. For direct
/// I/O, only full buffers are aligned.
///
/// A writer belongs to one task at a time; a call made before another has returned throws
/// ``IOError/Code/invalidArgument``. The file or stream is borrowed, and its owner closes it after the writer. A writer
/// that is dropped with unflushed bytes reports this in the log.
///
/// The first error is permanent: every later call throws it. If a call has to wait in a cancelled task, or until its
/// deadline passes, it cancels the writes in flight, so the first error may be ``IOError/Code/cancelled`` or
/// ``IOError/Code/deadlineExceeded``. When a call throws, nothing is in flight any more. (A deadline does not end the
/// wait for a buffer of a pool that is used up.)
public final class BufferedWriter {
    private let sink: ByteSink
    /// The offset of the next byte; on streams and appended files, counted from the given offset.
    public private(set) var position: Int64
    private let bufferSize: Int
    private let writesMax: Int
    private let isOrdered: Bool
    private let outcome = WriteOutcome()
    private var buffer: StreamBuffer?
    /// Writes in flight, oldest first.
    private var writes: [Task<Void, Never>] = []
    private var hasUnflushed = false
    private var isClosed = false
    private var isBusy = false

    /// Writes a file from `offset` on. `inFlightLimit` is the number of bytes that may be in flight while the caller
    /// continues (at least one buffer). By default four writes of 256 KiB are in flight, which keep a device busy.
    ///
    /// - Throws: ``IOError/Code/invalidArgument`` if the offset is negative or the buffer size is not 1 byte to 16 MiB;
    ///   ``IOError/Code/fileClosed``.
    public convenience init(
        _ file: File, at offset: Int64 = 0, bufferSize: Int = 256 << 10, inFlightLimit: Int = 1 << 20
    ) throws(IOError) {
        try file.begin("write")
        defer { file.lease.end() }
        try self.init(.file(file), at: offset, bufferSize, inFlightLimit, isOrdered: !file.takesParallelWrites)
    }

    /// Writes a connection, the writing end of a pipe, or standard output. `inFlightLimit` is the number of bytes that
    /// may wait to be written while the caller continues (at least one buffer). A flush waits until the kernel has
    /// accepted everything. A stream cannot be synced. The default buffer is what a pipe holds.
    ///
    /// - Throws: ``IOError/Code/invalidArgument`` if the buffer size is not 1 byte to 16 MiB.
    public convenience init(
        _ stream: some WritableStream, bufferSize: Int = 64 << 10, inFlightLimit: Int = 256 << 10
    ) throws(IOError) {
        try self.init(.stream(stream), at: 0, bufferSize, inFlightLimit, isOrdered: true)
    }

    private init(
        _ sink: ByteSink, at offset: Int64, _ bufferSize: Int, _ inFlightLimit: Int, isOrdered: Bool
    ) throws(IOError) {
        guard offset >= 0, (1...BufferPool.largest).contains(bufferSize) else {
            let advice = "the offset must be 0 or more, the buffer 1 to \(BufferPool.largest) bytes"
            throw IOError(.invalidArgument, "write", path: sink.path, advice: advice)
        }
        self.sink = sink
        position = offset
        self.bufferSize = bufferSize
        writesMax = max(1, inFlightLimit / bufferSize)
        self.isOrdered = isOrdered
    }

    /// Writes in flight are completed.
    deinit {
        guard !isClosed, hasUnflushed, outcome.error == nil else { return }
        let name = sink.path.map { "\($0)" } ?? "a stream"
        let lost = buffer?.count ?? 0
        sink.runtime.configuration.log("writer of \(name) was dropped without close(): \(lost) bytes were not written")
    }

    // MARK: Writing

    /// Copies the bytes into the buffer. Waits only at the limit of bytes in flight, until a write completes.
    ///
    /// The memory is borrowed until the call returns. In a cancelled task, and after the deadline, the call takes
    /// nothing and throws; the writer can be used on. If the task is cancelled or the deadline passes while the call
    /// waits, that is the writer's first error, and what was in its buffers is lost in part.
    ///
    /// - Throws: ``IOError/Code/cancelled``, ``IOError/Code/deadlineExceeded``, ``IOError/Code/fileClosed`` after
    ///   ``close(sync:deadline:)``, or the first error of a write.
    public func write(_ bytes: RawSpan, deadline: Deadline = .never) async throws(IOError) {
        if Task.isCancelled { throw IOError(.cancelled, "write", path: sink.path) }
        try await begin(deadline)
        defer { isBusy = false }
        let (base, count) = bytes.withUnsafeBytes { ($0.baseAddress, $0.count) }
        guard !position.addingReportingOverflow(Int64(count)).overflow else {
            throw .beyondOffsets("write", sink.path)
        }
        var done = 0
        while done < count, let base {
            let buffer = try await room(deadline)
            let taken = min(count - done, bufferSize - buffer.count)
            (buffer.base + buffer.count).copyMemory(from: base + done, byteCount: taken)
            buffer.count += taken
            position += Int64(taken)
            done += taken
            if buffer.count == bufferSize { try await send(buffer, deadline) }
        }
    }

    /// Copies an array into the buffer. Waiting and errors are those of ``write(_:deadline:)-(RawSpan,_)``.
    public func write(_ bytes: [UInt8], deadline: Deadline = .never) async throws(IOError) {
        try await write(bytes.span.bytes, deadline: deadline)
    }

    /// Copies a text into the buffer as UTF-8. Waiting and errors are those of ``write(_:deadline:)-(RawSpan,_)``.
    public func write(_ text: String, deadline: Deadline = .never) async throws(IOError) {
        try await write(Array(text.utf8), deadline: deadline)
    }

    /// Writes what the buffer holds, and waits until all bytes are written; with `sync`, until they are durable.
    ///
    /// If the task is cancelled or the deadline passes while the call waits for writes, that is the writer's first
    /// error. A call after the deadline does nothing and throws. Kernel calls: those of the writes, fdatasync(2) or
    /// fsync(2).
    ///
    /// - Throws: ``IOError/Code/cancelled``, ``IOError/Code/deadlineExceeded``, ``IOError/Code/notSupported`` for a
    ///   `sync` of a stream, the first error of a write, or the errors of ``File/sync(_:deadline:)``.
    public func flush(sync level: SyncLevel? = nil, deadline: Deadline = .never) async throws(IOError) {
        try await begin(deadline)
        defer { isBusy = false }
        try await flushNow(level, deadline)
    }

    /// Flushes, and refuses later writes. The file or stream stays open, and its owner closes it.
    ///
    /// A second close does nothing if the first succeeded, and throws the same error if it failed. A call after the
    /// deadline does nothing and throws.
    ///
    /// - Throws: the errors of ``flush(sync:deadline:)``.
    public func close(sync level: SyncLevel? = nil, deadline: Deadline = .never) async throws(IOError) {
        if isClosed, outcome.error == nil { return }
        try await begin(deadline)
        defer { isBusy = false }
        isClosed = true
        try await outcome.rethrow { () throws(IOError) in try await flushNow(level, deadline) }
    }

    private func begin(_ deadline: Deadline) async throws(IOError) {
        guard !isBusy else {
            let advice = "another call of this writer has not returned"
            throw IOError(.invalidArgument, "write", path: sink.path, advice: advice)
        }
        if let error = outcome.error {
            isBusy = true
            await settle()
            isBusy = false
            throw error
        }
        guard !isClosed else {
            throw IOError(.fileClosed, "write", path: sink.path, advice: "the writer was closed")
        }
        guard deadline == .never || !deadline.hasPassed else {
            throw IOError(.deadlineExceeded, "write", path: sink.path)
        }
        isBusy = true
    }

    // MARK: Submission

    /// The current buffer, which has room.
    private func room(_ deadline: Deadline) async throws(IOError) -> StreamBuffer {
        hasUnflushed = true
        while true {
            if let buffer { return buffer }
            // The writes in flight may hold all buffers of the pool.
            buffer = try await sink.runtime.streamBuffer(bufferSize, mayWait: writes.isEmpty)
            if buffer == nil { try await awaitOldest(deadline) }
        }
    }

    /// Hands a full buffer to a task that writes it.
    private func send(_ full: StreamBuffer, _ deadline: Deadline) async throws(IOError) {
        while writes.count >= writesMax { try await awaitOldest(deadline) }
        buffer = nil
        let (sink, outcome, offset) = (sink, outcome, position - Int64(full.count))
        let before = isOrdered ? writes.last : nil
        let handover = StreamHandover(full)
        writes.append(
            Task {
                await before?.value
                guard let full = handover.take() else { return }
                await outcome.note { () throws(IOError) in
                    try await sink.writeAll(UnsafeRawPointer(full.base), full.count, offset)
                }
            })
    }

    private func flushNow(_ level: SyncLevel?, _ deadline: Deadline) async throws(IOError) {
        if let buffer, buffer.count > 0 { try await send(buffer, deadline) }
        while !writes.isEmpty { try await awaitOldest(deadline) }
        hasUnflushed = false
        guard let level else { return }
        guard case .file(let file) = sink else {
            throw IOError(.notSupported, "sync", advice: "a stream has nothing to sync")
        }
        try await file.sync(level, deadline: deadline)
    }

    // MARK: Completion

    private func awaitOldest(_ deadline: Deadline) async throws(IOError) {
        let (all, outcome, path) = (writes, outcome, sink.path)
        // The writes have no deadline of their own, since they may outlast the call that began them.
        let alarm = try WriterAlarm(sink.runtime, deadline) {
            outcome.note(IOError(.deadlineExceeded, "write", path: path))
            for write in all { write.cancel() }
        }
        await withTaskCancellationHandler {
            await all.first?.value
        } onCancel: {
            for write in all { write.cancel() }
        }
        alarm?.remove()
        if !writes.isEmpty { writes.removeFirst() }
        guard let error = outcome.error else { return }
        await settle()
        throw error
    }

    /// After an error, waits for the writes in flight. Writes that have not begun do nothing.
    private func settle() async {
        for write in writes { await write.value }
        writes = []
    }
}

extension File {
    /// Whether concurrent writes to different ranges end up at their offsets.
    fileprivate var takesParallelWrites: Bool {
        switch descriptor.kind {
        case .buffered, .direct: UInt64(max(0, Kernel.openFlags(descriptor.number))) & CK_O_APPEND == 0
        case .unknown, .stream, .other: false
        }
    }
}

/// Calls an action when a deadline passes, unless it is removed before.
private struct WriterAlarm {
    private let loop: IOLoop
    private let alarm: Alarms.Alarm

    /// nil without a deadline.
    init?(_ runtime: IORuntime, _ deadline: Deadline, _ action: @escaping @Sendable () -> Void) throws(IOError) {
        guard deadline != .never else { return nil }
        loop = try runtime.loop(for: .timeout(deadline: deadline.nanoseconds), "write")
        alarm = loop.setAlarm(deadline.nanoseconds, action)
    }

    func remove() { loop.removeAlarm(alarm) }
}

/// The first error of a writer's writes, or of its close. No write begins after it.
private final class WriteOutcome: Sendable {
    private let first = Guarded<IOError?>(nil)

    var error: IOError? { first.withLock { $0 } }

    func note(_ write: () async throws(IOError) -> Void) async {
        guard error == nil else { return }
        do throws(IOError) { try await rethrow(write) } catch {}
    }

    /// Records the error that `body` throws, unless there was one before.
    func rethrow(_ body: () async throws(IOError) -> Void) async throws(IOError) {
        do throws(IOError) { try await body() } catch {
            note(error)
            throw error
        }
    }

    func note(_ error: IOError) { first.withLock { if $0 == nil { $0 = error } } }
}
