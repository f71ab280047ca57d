/// A piece of a file that `File.chunks` read. Its memory goes back to the runtime's pool with the last copy of it.
public struct Chunk: Sendable {
    /// Where it lies in the file; of a stream, bytes since the reading began.
    public let offset: Int64
    /// Bytes.
    public let count: Int
    private let buffer: StreamBuffer

    init(_ buffer: StreamBuffer, at offset: Int64) {
        self.buffer = buffer
        self.offset = offset
        count = buffer.count
    }

    /// The data.
    public func withBytes<R: ~Copyable, E: Error>(_ body: (RawSpan) throws(E) -> R) throws(E) -> R {
        try body(UnsafeRawBufferPointer(start: buffer.base, count: count).bytes)
    }

    /// The data, for C. The pointer must not outlive the call.
    public func withUnsafeBytes<R: ~Copyable, E: Error>(
        _ body: (UnsafeRawBufferPointer) throws(E) -> R
    ) throws(E) -> R {
        try body(UnsafeRawBufferPointer(start: buffer.base, count: count))
    }

    /// A copy of the data.
    public var bytes: [UInt8] { withUnsafeBytes { Array($0) } }
}
