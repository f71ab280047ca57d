/// Memory for reads and writes, aligned to 4096 bytes for direct I/O. It has one owner, and returns to its pool when
/// the owner drops it. Use it where a span cannot be passed on, as in child tasks and queues.
public struct IOBuffer: ~Copyable, @unchecked Sendable {
    // @unchecked: this value alone owns the memory, and it is not copyable.

    /// The size of the memory in bytes.
    public let capacity: Int
    /// The number of valid bytes: set by a read, or by the code that fills the buffer.
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

    /// Gives `body` the valid bytes.
    public func withBytes<R: ~Copyable, E: Error>(_ body: (RawSpan) throws(E) -> R) throws(E) -> R {
        try body(UnsafeRawBufferPointer(start: base, count: count).bytes)
    }

    /// Gives `body` the valid bytes for modification. Set ``count`` first to fill more of the buffer.
    public mutating func withMutableBytes<R: ~Copyable, E: Error>(
        _ body: (inout MutableRawSpan) throws(E) -> R
    ) throws(E) -> R {
        var span = UnsafeMutableRawBufferPointer(start: base, count: count).mutableBytes
        return try body(&span)
    }

    /// Gives `body` the valid bytes as a pointer, which must not outlive the call.
    public func withUnsafeBytes<R: ~Copyable, E: Error>(
        _ body: (UnsafeRawBufferPointer) throws(E) -> R
    ) throws(E) -> R {
        try body(UnsafeRawBufferPointer(start: base, count: count))
    }

    /// Gives `body` the whole memory as a pointer, which must not outlive the call.
    public mutating func withUnsafeMutableBytes<R: ~Copyable, E: Error>(
        _ body: (UnsafeMutableRawBufferPointer) throws(E) -> R
    ) throws(E) -> R {
        try body(UnsafeMutableRawBufferPointer(start: base, count: capacity))
    }
}
