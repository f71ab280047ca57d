/// The argument of ``Operation/splice(_:)`` and ``Operation/tee(_:)``. Waits until the input has data and the output
/// has room; with SPLICE_F_NONBLOCK in `flags` it completes with EAGAIN instead. The order of several on one descriptor
/// is unspecified.
public struct Splice: BitwiseCopyable, Sendable {
    /// What is read. It or ``output`` must be a pipe.
    public var input: Descriptor
    /// Byte offset in the input; ``Transfer/currentPosition`` for a pipe, a stream, or the descriptor's own position.
    public var inputOffset: Int64
    /// What is written.
    public var output: Descriptor
    /// Byte offset in the output; ``Transfer/currentPosition`` for a pipe, a stream, or the descriptor's own position.
    public var outputOffset: Int64
    /// Maximum number of bytes to move.
    public var count: UInt32
    /// SPLICE_F_ flags.
    public var flags: UInt32

    /// Moves up to `count` bytes from one descriptor to the other. Both are borrowed.
    public init(
        from input: Descriptor, inputOffset: Int64 = Transfer.currentPosition, to output: Descriptor,
        outputOffset: Int64 = Transfer.currentPosition, count: UInt32, flags: UInt32 = 0
    ) {
        self.input = input
        self.inputOffset = inputOffset
        self.output = output
        self.outputOffset = outputOffset
        self.count = count
        self.flags = flags
    }
}
