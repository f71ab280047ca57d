#if canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// Buffered reading of a file or a stream, with few system calls.
///
/// A reader belongs to one task at a time; a call made before another has returned throws
/// ``IOError/Code/invalidArgument``. The file, connection or pipe is borrowed, and its owner closes it. At the end of a
/// file that grows, later calls return what was added. Offsets are not kept aligned for direct I/O.
///
/// A call in a cancelled task or after its deadline throws ``IOError/Code/cancelled`` or
/// ``IOError/Code/deadlineExceeded`` even if the buffer holds data. If the deadline passes during a read, the call
/// cancels the read and waits for its completion. (A deadline does not end the wait for a buffer of a pool that is used
/// up.) After an error no data is lost and the position is unchanged, with one exception:
/// ``readExactly(count:deadline:)`` of more than 16 MiB from a stream. The calls also throw the errors of the reads.
public final class BufferedReader {
    private let source: ByteSource
    /// The offset of the next byte; on a stream, the number of bytes consumed.
    public private(set) var position: Int64
    private let bufferSize: Int
    private var buffer: StreamBuffer?
    /// The unread bytes in the buffer: the index of the first, and the index after the last.
    private var start = 0
    private var end = 0
    private var isBusy = false

    /// Reads a file from `offset` on, at least 64 KiB at a time by default: larger buffers save few further system
    /// calls.
    ///
    /// - Throws: ``IOError/Code/invalidArgument`` if the offset is negative or the buffer size is not 1 byte to 16 MiB.
    public convenience init(_ file: File, at offset: Int64 = 0, bufferSize: Int = 64 << 10) throws(IOError) {
        try self.init(.file(file), at: offset, bufferSize)
    }

    /// Reads a connection, the reading end of a pipe, or standard input. Nobody else may read from the stream from now
    /// on, since the buffer may hold bytes that were not asked for. It has 16 KiB by default, since each of many
    /// connections has one.
    ///
    /// - Throws: ``IOError/Code/invalidArgument`` if the buffer size is not 1 byte to 16 MiB.
    public convenience init(_ stream: some ReadableStream, bufferSize: Int = 16 << 10) throws(IOError) {
        try self.init(.stream(stream), at: 0, bufferSize)
    }

    private init(_ source: ByteSource, at offset: Int64, _ bufferSize: Int) throws(IOError) {
        guard offset >= 0, (1...BufferPool.largest).contains(bufferSize) else {
            let advice = "the offset must be 0 or more, the buffer 1 to \(BufferPool.largest) bytes"
            throw IOError(.invalidArgument, "read", path: source.path, advice: advice)
        }
        self.source = source
        position = offset
        self.bufferSize = bufferSize
    }

    // MARK: Reading

    /// Reads up to `count` bytes: what the buffer holds, or what one read returns. Empty at the end.
    public func read(upTo count: Int, deadline: Deadline = .never) async throws(IOError) -> [UInt8] {
        try begin(count, deadline)
        defer { isBusy = false }
        if held == 0, count > 0 { _ = try await fetch(deadline) }
        return take(min(count, held))
    }

    /// Reads exactly `count` bytes.
    ///
    /// - Throws: ``IOError/Code/unexpectedEndOfFile`` if there are fewer; none of them are then consumed, unless more
    ///   than 16 MiB were requested from a stream.
    public func readExactly(count: Int, deadline: Deadline = .never) async throws(IOError) -> [UInt8] {
        try begin(count, deadline)
        defer { isBusy = false }
        // Bytes read from a stream are lost unless the buffer keeps them.
        let buffered = isStream ? BufferPool.largest : max(bufferSize, capacity)
        guard count <= buffered else { return try await readPastBuffer(count, deadline) }
        guard try await fill(count, deadline) else { throw endedEarly(count) }
        return take(count)
    }

    /// Reads up to and including the next `delimiter`; without one, up to the end. nil at the end. The buffer has to
    /// hold what is returned, so a limit above 16 MiB is 16 MiB.
    ///
    /// - Throws: ``IOError/Code/lineTooLong`` if that is more than `limit` bytes; none of them are then consumed.
    public func read(
        until delimiter: UInt8, limit: Int = 1 << 20, deadline: Deadline = .never
    ) async throws(IOError) -> [UInt8]? {
        try begin(limit, deadline)
        defer { isBusy = false }
        let limit = min(limit, BufferPool.largest)
        var searched = 0
        while true {
            if let index = unread.firstIndex(of: delimiter, from: searched), index < limit { return take(index + 1) }
            searched = held
            guard held < limit else { throw .lineTooLong(limit, "read", source.path) }
            if try await !fetch(deadline) { return held > 0 ? take(held) : nil }
        }
    }

    /// Returns the next `count` bytes (at most 16 MiB) without consuming them; fewer if the end comes first. Reads
    /// until the buffer holds them.
    ///
    /// - Throws: ``IOError/Code/invalidArgument`` for more than 16 MiB.
    public func peek(upTo count: Int, deadline: Deadline = .never) async throws(IOError) -> [UInt8] {
        try begin(count, deadline)
        defer { isBusy = false }
        _ = try await fill(count, deadline)
        return Array(unread.prefix(count))
    }

    /// Skips `count` bytes and returns how many were skipped: fewer if a stream ends first. In a file only the position
    /// moves, possibly beyond the end; nothing is read.
    ///
    /// - Throws: ``IOError/Code/invalidArgument`` for a negative count, or a position beyond 2^63 - 1.
    @discardableResult
    public func skip(_ count: Int64, deadline: Deadline = .never) async throws(IOError) -> Int64 {
        try begin(count < 0 ? -1 : 0, deadline)
        defer { isBusy = false }
        var left = count
        while true {
            let now = Int(min(left, Int64(held)))
            drop(now)
            left -= Int64(now)
            guard left > 0 else { return count }
            guard isStream else {
                let (target, overflows) = position.addingReportingOverflow(left)
                guard !overflows else { throw .beyondOffsets("skip", source.path) }
                position = target
                return count
            }
            if try await !fetch(deadline) { return count - left }
        }
    }

    /// The number of bytes in the buffer, which can be read without waiting.
    public var bufferedCount: Int { held }

    // MARK: Buffer

    private var isStream: Bool { source.isStream }
    private var held: Int { end - start }
    private var capacity: Int { buffer.map(\.capacity) ?? 0 }
    private var unread: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: buffer.map { $0.base + start }, count: held)
    }

    private func begin(_ count: Int, _ deadline: Deadline) throws(IOError) {
        guard !isBusy else {
            let advice = "another call of this reader has not returned"
            throw IOError(.invalidArgument, "read", path: source.path, advice: advice)
        }
        guard count >= 0 else {
            throw IOError(.invalidArgument, "read", path: source.path, advice: "the count is negative")
        }
        do throws(IOError) { try IOLoop.checkBeginning(deadline.nanoseconds, "read") } catch {
            throw IOError(error.code, "read", path: source.path)
        }
        isBusy = true
    }

    private func take(_ count: Int) -> [UInt8] {
        defer { drop(count) }
        return Array(unread.prefix(count))
    }

    private func drop(_ count: Int) {
        start += count
        position += Int64(count)
    }

    /// Reads until the buffer holds `count` bytes. Returns false if the end comes first.
    private func fill(_ count: Int, _ deadline: Deadline) async throws(IOError) -> Bool {
        guard count <= BufferPool.largest else {
            let advice = "the limit is \(BufferPool.largest) bytes"
            throw IOError(.invalidArgument, "read", path: source.path, advice: advice)
        }
        while held < count { guard try await fetch(deadline, atLeast: count) else { return false } }
        return true
    }

    /// Makes one read. Returns false at the end.
    private func fetch(_ deadline: Deadline, atLeast wanted: Int = 0) async throws(IOError) -> Bool {
        let buffer = try await room(max(wanted, held + 1))
        let space = buffer.capacity - end
        let count = try await source.read(buffer.base + end, space, position + Int64(held), deadline)
        end += count
        return count > 0
    }

    /// The buffer, with room for `wanted` bytes from `start` on, and for at least one more byte. It grows by doubling.
    private func room(_ wanted: Int) async throws(IOError) -> StreamBuffer {
        if let buffer, wanted <= buffer.capacity {
            if start == end {
                (start, end) = (0, 0)
            } else if start > 0, start + wanted > buffer.capacity || end == buffer.capacity {
                move(to: buffer)
            }
            return buffer
        }
        guard wanted <= BufferPool.largest else {
            let advice = "the limit is \(BufferPool.largest) bytes"
            throw IOError(.invalidArgument, "read", path: source.path, advice: advice)
        }
        // Not nil, since the call may wait.
        guard let larger = try await source.runtime.streamBuffer(max(wanted, bufferSize), mayWait: true) else {
            throw IOError(.limitReached, "buffer")
        }
        move(to: larger)
        buffer = larger
        return larger
    }

    private func move(to other: StreamBuffer) {
        if let source = unread.baseAddress { memmove(other.base, source, held) }
        (start, end) = (0, held)
    }

    // MARK: Bypassing the buffer

    /// Reads directly into the array, after the bytes that the buffer holds.
    private func readPastBuffer(_ count: Int, _ deadline: Deadline) async throws(IOError) -> [UInt8] {
        let prefix = Array(unread)
        let begin = position + Int64(prefix.count)
        let end = position.addingReportingOverflow(Int64(count))
        guard !end.overflow else { throw .beyondOffsets("read", source.path) }
        if isStream { drop(prefix.count) }
        let array = try await LargeArray.fill(count, after: prefix) { base, done, room throws(IOError) in
            do throws(IOError) { try await source.readExactly(base, room, begin + Int64(done), deadline) } catch {
                throw error.code == .unexpectedEndOfFile ? endedEarly(count) : error
            }
        }
        (start, self.end) = (0, 0)
        position = end.partialValue
        return array
    }

    private func endedEarly(_ count: Int) -> IOError {
        let advice = "asked for \(count) bytes at \(position)"
        return IOError(.unexpectedEndOfFile, "read", path: source.path, advice: advice)
    }
}
