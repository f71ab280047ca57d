/// One read or write of a block, as the workload asks for it.
struct BlockOperation: BitwiseCopyable {
    /// The block's number among those of the workload.
    var block: Int
    /// Bytes from the start of the file.
    var offset: Int
    /// Bytes.
    var count: Int
    var isWrite: Bool
    /// Which generation of the content a read finds, or a write leaves.
    var generation: UInt32
}
