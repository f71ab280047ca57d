internal import AIOCore
internal import CKernel

extension File {
    public struct RangeSync: OptionSet, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }

        /// Waits first for the writeback that is under way.
        public static let waitBefore = RangeSync(rawValue: CK_SYNC_FILE_RANGE_WAIT_BEFORE)
        /// Starts writing the dirty pages.
        public static let write = RangeSync(rawValue: CK_SYNC_FILE_RANGE_WRITE)
        /// Waits until they are written.
        public static let waitAfter = RangeSync(rawValue: CK_SYNC_FILE_RANGE_WAIT_AFTER)
    }

    /// Writes dirty pages of a range (`count` 0: to the end) to the device. Not durability: neither metadata nor the
    /// device's own cache are flushed. sync_file_range(2).
    public func syncRange(
        at offset: Int64, count: Int64, _ steps: RangeSync = [.waitBefore, .write, .waitAfter],
        deadline: Deadline = .never
    ) async throws(IOError) {
        _ = try await perform(
            .syncRange(descriptor, offset: offset, count: count, flags: steps.rawValue), deadline, "sync_file_range")
    }

    /// Cuts the file off, or makes it longer with zeros, at `size` bytes. ftruncate(2).
    public func truncate(to size: Int64, deadline: Deadline = .never) async throws(IOError) {
        _ = try await perform(.truncate(descriptor, size: size), deadline, "ftruncate")
    }

    public struct Allocation: OptionSet, Sendable {
        public let rawValue: Int32
        public init(rawValue: Int32) { self.rawValue = rawValue }

        /// The file's size stays as it is.
        public static let keepSize = Allocation(rawValue: CK_FALLOC_FL_KEEP_SIZE)
        /// Gives the range's space back; it then reads as zeros. Wants `keepSize`.
        public static let punchHole = Allocation(rawValue: CK_FALLOC_FL_PUNCH_HOLE)
        /// The range reads as zeros, with its space kept.
        public static let zeroRange = Allocation(rawValue: CK_FALLOC_FL_ZERO_RANGE)
    }

    /// Allocates space for a range, so that writes to it cannot fail for want of it. fallocate(2).
    public func allocate(
        at offset: Int64, count: Int64, _ mode: Allocation = [], deadline: Deadline = .never
    ) async throws(IOError) {
        _ = try await perform(
            .allocate(descriptor, mode: mode.rawValue, offset: offset, count: count), deadline, "fallocate")
    }

    public enum Advice: Int32, Sendable {
        case normal = 0
        case random = 1
        case sequential = 2
        case willNeed = 3
        /// Drops the range's clean pages from the page cache.
        case dontNeed = 4
        case noReuse = 5
    }

    /// Says how a range (`count` 0: to the end) is going to be used. posix_fadvise(2).
    public func advise(
        _ advice: Advice, at offset: Int64 = 0, count: Int64 = 0, deadline: Deadline = .never
    ) async throws(IOError) {
        _ = try await perform(
            .advise(descriptor, offset: offset, count: count, advice: advice.rawValue), deadline, "fadvise")
    }

    /// What the file system knows of the file. statx(2).
    public func status(deadline: Deadline = .never) async throws(IOError) -> FileStatus {
        let result = UnsafeMutablePointer<ck_statx>.allocate(capacity: 1)
        let empty = Path("").copyCString()
        defer {
            result.deallocate()
            empty.deallocate()
        }
        result.initialize(to: ck_statx())
        _ = try await perform(
            .status(
                directory: descriptor.number, path: UnsafePointer(empty), flags: CK_AT_EMPTY_PATH,
                mask: FileStatus.mask, result: result),
            deadline, "statx")
        return FileStatus(result.pointee)
    }
}
