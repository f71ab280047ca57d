/// Memory for reads and writes, aligned to 4096 bytes as direct I/O wants it. It belongs to its owner alone and goes
/// back to its pool when that drops it; where a span would be in the way (child tasks, queues), pass the buffer on.
public struct IOBuffer: ~Copyable, @unchecked Sendable {
    // @unchecked: the memory is this value's alone, and the value is not copyable.

    /// Bytes that fit.
    public let capacity: Int
    /// Bytes that hold data: set by a read, and by whoever fills the buffer.
    public var count: Int {
        didSet { precondition(count >= 0 && count <= capacity, "count is 0 to capacity") }
    }
    let base: UnsafeMutableRawPointer
    private let pool: BufferPool

    init(_ base: UnsafeMutableRawPointer, capacity: Int, count: Int, pool: BufferPool) {
        self.base = base
        self.capacity = capacity
        self.count = count
        self.pool = pool
    }

    deinit { pool.release(base, capacity) }

    /// The data.
    public func withBytes<R: ~Copyable, E: Error>(_ body: (RawSpan) throws(E) -> R) throws(E) -> R {
        try body(UnsafeRawBufferPointer(start: base, count: count).bytes)
    }

    /// The data, for changing it. Set `count` first to fill more of the buffer.
    public mutating func withMutableBytes<R: ~Copyable, E: Error>(
        _ body: (inout MutableRawSpan) throws(E) -> R
    ) throws(E) -> R {
        var span = UnsafeMutableRawBufferPointer(start: base, count: count).mutableBytes
        return try body(&span)
    }

    /// The data, for C. The pointer must not outlive the call.
    public func withUnsafeBytes<R: ~Copyable, E: Error>(
        _ body: (UnsafeRawBufferPointer) throws(E) -> R
    ) throws(E) -> R {
        try body(UnsafeRawBufferPointer(start: base, count: count))
    }

    /// All of the memory, for C. The pointer must not outlive the call.
    public mutating func withUnsafeMutableBytes<R: ~Copyable, E: Error>(
        _ body: (UnsafeMutableRawBufferPointer) throws(E) -> R
    ) throws(E) -> R {
        try body(UnsafeMutableRawBufferPointer(start: base, count: capacity))
    }
}
