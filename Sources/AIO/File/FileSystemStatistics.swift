internal import CKernel

/// The size and free space of a file system, as statfs(2) reports them.
public struct FileSystemStatistics: Sendable {
    /// The type of the file system, a magic number of <linux/magic.h>.
    public let type: UInt64
    /// The preferred transfer size in bytes.
    public let blockSize: Int
    /// The size of the file system in bytes.
    public let size: Int64
    /// The number of free bytes, including those reserved for privileged users.
    public let freeSize: Int64
    /// The number of bytes available to unprivileged users.
    public let availableSize: Int64
    /// The maximum number of files; 0 if the file system has no such limit.
    public let fileCountMax: Int64
    /// The number of files that can still be created; 0 also if the file system has no such limit.
    public let freeFileCount: Int64
    /// The maximum length of a name in bytes.
    public let nameLengthMax: Int
    /// Whether the file system is mounted read-only.
    public let isReadOnly: Bool

    init(_ status: ck_statfs) {
        type = UInt64(bitPattern: status.type)
        blockSize = Int(status.block_size)
        // The block counts are in fragments. The kernel may report a fragment size of 0; then the unit is the block.
        let unit = UInt64(clamping: status.fragment_size > 0 ? status.fragment_size : status.block_size)
        // Network file systems without a limit may report the largest numbers.
        func bytes(_ blocks: UInt64) -> Int64 {
            let (size, overflows) = blocks.multipliedReportingOverflow(by: unit)
            return overflows ? .max : Int64(clamping: size)
        }
        size = bytes(status.blocks)
        freeSize = bytes(status.blocks_free)
        availableSize = bytes(status.blocks_available)
        fileCountMax = Int64(clamping: status.files)
        freeFileCount = Int64(clamping: status.files_free)
        nameLengthMax = Int(status.name_length_max)
        isReadOnly = status.flags & CK_ST_RDONLY != 0
    }
}
