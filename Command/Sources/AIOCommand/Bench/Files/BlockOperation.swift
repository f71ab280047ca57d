/// One read or write of a block.
struct BlockOperation: BitwiseCopyable {
    /// The block's number in the workload.
    var block: Int
    /// Bytes from the start of the file.
    var offset: Int
    /// Bytes.
    var count: Int
    var isWrite: Bool
    /// The generation of the content that a read finds or a write leaves.
    var generation: UInt32
}
