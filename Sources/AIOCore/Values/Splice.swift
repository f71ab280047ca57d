/// What `Operation.splice` and `.tee` carry. Waits until there is something to move and room for it, unless `flags` has
/// SPLICE_F_NONBLOCK: then it completes with EAGAIN. Nothing is said about the order of several on one descriptor.
public struct Splice: BitwiseCopyable, Sendable {
    public var input: Descriptor
    /// Byte in the file; `Transfer.currentPosition` for a pipe or a stream, or the descriptor's own position.
    public var inputOffset: Int64
    public var output: Descriptor
    public var outputOffset: Int64
    /// Bytes to move.
    public var count: UInt32
    /// SPLICE_F_ flags.
    public var flags: UInt32

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
