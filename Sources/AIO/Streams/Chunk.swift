/// A piece of a file or stream that ``File/chunks(of:range:readahead:deadline:)`` or
/// ``ReadableStream/chunks(of:deadline:)`` read. Its memory returns to the runtime's pool with the last copy of the
/// chunk.
public struct Chunk: Sendable {
    /// The offset in the file; in a stream, the number of bytes since the sequence began.
    public let offset: Int64
    /// The number of bytes.
    public let count: Int
    private let buffer: StreamBuffer

    init(_ buffer: StreamBuffer, at offset: Int64) {
        self.buffer = buffer
        self.offset = offset
        count = buffer.count
    }

    /// Gives `body` the data.
    public func withBytes<R: ~Copyable, E: Error>(_ body: (RawSpan) throws(E) -> R) throws(E) -> R {
        try body(UnsafeRawBufferPointer(start: buffer.base, count: count).bytes)
    }

    /// Gives `body` the data as a pointer, which must not outlive the call.
    public func withUnsafeBytes<R: ~Copyable, E: Error>(
        _ body: (UnsafeRawBufferPointer) throws(E) -> R
    ) throws(E) -> R {
        try body(UnsafeRawBufferPointer(start: buffer.base, count: count))
    }

    /// The data, as long as a copy of the chunk lives.
    var unsafeBytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: buffer.base, count: count) }

    /// A copy of the data.
    public var bytes: [UInt8] { withUnsafeBytes { Array($0) } }
}
