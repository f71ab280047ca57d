internal import CKernel

/// The size of a file system and what is free of it, statfs(2).
public struct FileSystemStatistics: Sendable {
    /// What the file system is, as a number of <linux/magic.h>.
    public let type: UInt64
    /// Bytes that a transfer should be a multiple of.
    public let blockSize: Int
    /// Bytes.
    public let size: UInt64
    public let freeSize: UInt64
    /// Bytes that are free for those who are not the super user.
    public let availableSize: UInt64
    /// Files that there can be, and that can still be made; 0 where the file system has no such limit.
    public let fileCountMax: UInt64
    public let freeFileCount: UInt64
    /// Bytes in a name.
    public let nameLengthMax: Int
    public let isReadOnly: Bool

    init(_ status: ck_statfs) {
        type = UInt64(bitPattern: status.type)
        blockSize = Int(status.block_size)
        // Blocks are counted in fragments, which the kernel may leave out.
        let unit = UInt64(clamping: status.fragment_size > 0 ? status.fragment_size : status.block_size)
        size = status.blocks &* unit
        freeSize = status.blocks_free &* unit
        availableSize = status.blocks_available &* unit
        fileCountMax = status.files
        freeFileCount = status.files_free
        nameLengthMax = Int(status.name_length_max)
        isReadOnly = status.flags & CK_ST_RDONLY != 0
    }
}
