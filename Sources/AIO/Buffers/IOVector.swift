internal import CKernel

/// Several buffers that are read into, or written from, as one range of a file: readv(2), writev(2).
public struct IOVector: ~Copyable, @unchecked Sendable {
    // @unchecked: the buffers are this value's alone.

    private let buffers: UnsafeMutablePointer<IOBuffer>
    let vectors: UnsafeMutablePointer<iovec>
    public let capacity: Int
    /// Buffers in it.
    public private(set) var count = 0

    /// For `capacity` buffers at most: 1 to 1024, the kernel's limit. Of what is out of that, the nearest.
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

    /// Adds a buffer at the end: `buffer.count` of its bytes take part.
    public mutating func append(_ buffer: consuming IOBuffer) {
        precondition(count < capacity, "the vector is full")
        (vectors + count).initialize(to: iovec(iov_base: buffer.base, iov_len: buffer.count))
        (buffers + count).initialize(to: buffer)
        count += 1
    }

    /// Takes the last buffer out.
    public mutating func removeLast() -> IOBuffer? {
        guard count > 0 else { return nil }
        count -= 1
        return (buffers + count).move()
    }

    /// Bytes in all buffers together.
    public var byteCount: Int { (0..<count).reduce(0) { $0 + vectors[$1].iov_len } }

    /// The bytes of one buffer, for C. The pointer must not outlive the call.
    public func withUnsafeBytes<R, E: Error>(
        ofBufferAt index: Int, _ body: (UnsafeRawBufferPointer) throws(E) -> R
    ) throws(E) -> R {
        precondition(index >= 0 && index < count, "no such buffer")
        return try body(UnsafeRawBufferPointer(start: vectors[index].iov_base, count: vectors[index].iov_len))
    }
}
