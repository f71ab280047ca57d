/// A pool's buffer that one task hands to another.
final class StreamBuffer: @unchecked Sendable {
    // @unchecked: one task at a time fills or empties it; what several see is not changed any more.
    private var memory: IOBuffer
    let base: UnsafeMutableRawPointer

    init(_ memory: consuming IOBuffer) {
        base = memory.base
        self.memory = memory
    }

    var capacity: Int { memory.capacity }

    /// Bytes that hold data.
    var count: Int {
        get { memory.count }
        set { memory.count = newValue }
    }
}

/// Where a buffer lies between two tasks. A task that has ended lives on for a moment, with all that it captured: so it
/// captures this, which is empty by then, and the buffer is its last user's alone.
final class StreamHandover: @unchecked Sendable {
    // @unchecked: who puts something in is done before the other side, which waits for that, takes it out.
    private var buffer: StreamBuffer?

    init(_ buffer: StreamBuffer? = nil) { self.buffer = buffer }

    func put(_ buffer: StreamBuffer) { self.buffer = buffer }

    func take() -> StreamBuffer? {
        defer { buffer = nil }
        return buffer
    }
}

extension IORuntime {
    /// Memory for a stream, whose `count` is 0. Without it: nil if that would mean to wait, and the caller has
    /// something else to wait for.
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
