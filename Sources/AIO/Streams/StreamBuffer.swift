/// A pool's buffer that one task hands to another.
final class StreamBuffer: @unchecked Sendable {
    // @unchecked: one task at a time fills or empties it; a buffer that several tasks see no longer changes.
    private var memory: IOBuffer
    let base: UnsafeMutableRawPointer

    init(_ memory: consuming IOBuffer) {
        base = memory.base
        self.memory = memory
    }

    var capacity: Int { memory.capacity }

    /// The number of valid bytes.
    var count: Int {
        get { memory.count }
        set { memory.count = newValue }
    }
}

/// Passes a buffer between two tasks. A completed task lives on for a moment with everything that it captured. It
/// captures this object, which is empty by then, so the last user alone owns the buffer.
final class StreamHandover: @unchecked Sendable {
    // @unchecked: the task that puts a buffer in has finished before the other side, which waits for it, takes it out.
    private var buffer: StreamBuffer?

    init(_ buffer: StreamBuffer? = nil) { self.buffer = buffer }

    func put(_ buffer: StreamBuffer) { self.buffer = buffer }

    func take() -> StreamBuffer? {
        defer { buffer = nil }
        return buffer
    }
}

extension IORuntime {
    /// A buffer for a stream, with the count 0. With `mayWait` false, nil if no buffer is free.
    func streamBuffer(_ size: Int, mayWait: Bool) async throws(IOError) -> StreamBuffer? {
        let buffer: StreamBuffer
        if let free = try buffers.acquireNow(count: size) {
            buffer = StreamBuffer(free)
        } else if mayWait {
            buffer = StreamBuffer(try await buffers.acquire(count: size))
        } else {
            return nil
        }
        buffer.count = 0
        return buffer
    }
}
