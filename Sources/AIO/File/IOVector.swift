internal import CKernel

/// Several buffers that one transfer fills or writes in order: the vectors of readv(2) and writev(2). It owns the
/// buffers, which return to their pool with it.
public struct IOVector: ~Copyable, @unchecked Sendable {
    // @unchecked: this value alone owns the buffers.

    private let buffers: UnsafeMutablePointer<IOBuffer>
    let vectors: UnsafeMutablePointer<iovec>
    /// The maximum number of buffers.
    public let capacity: Int
    /// The number of buffers in the vector.
    public private(set) var count = 0

    /// For up to `capacity` buffers. The capacity is clamped to 1...1024, the kernel's limit.
    public init(capacity: Int) {
        let capacity = min(max(capacity, 1), 1024)
        self.capacity = capacity
        buffers = .allocate(capacity: capacity)
        vectors = .allocate(capacity: capacity)
    }

    deinit {
        buffers.deinitialize(count: count)
        buffers.deallocate()
        vectors.deallocate()
    }

    /// Appends a buffer, of which ``IOBuffer/count`` bytes take part in transfers. The vector must not be full: a
    /// program that appends more than ``capacity`` buffers ends.
    public mutating func append(_ buffer: consuming IOBuffer) {
        precondition(count < capacity, "the vector is full")
        (vectors + count).initialize(to: iovec(iov_base: buffer.base, iov_len: buffer.count))
        (buffers + count).initialize(to: buffer)
        count += 1
    }

    /// Removes the last buffer and returns it; nil if the vector is empty.
    public mutating func removeLast() -> IOBuffer? {
        guard count > 0 else { return nil }
        count -= 1
        return (buffers + count).move()
    }

    /// The total number of bytes in all buffers.
    public var byteCount: Int { (0..<count).reduce(0) { $0 + vectors[$1].iov_len } }

    /// Gives `body` the bytes of one buffer. The pointer must not outlive the call.
    public func withUnsafeBytes<R, E: Error>(
        ofBufferAt index: Int, _ body: (UnsafeRawBufferPointer) throws(E) -> R
    ) throws(E) -> R {
        precondition(index >= 0 && index < count, "no such buffer")
        return try body(UnsafeRawBufferPointer(start: vectors[index].iov_base, count: vectors[index].iov_len))
    }
}
