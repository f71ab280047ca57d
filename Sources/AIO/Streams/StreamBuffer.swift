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
