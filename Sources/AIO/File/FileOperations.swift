internal import AIOCore
internal import CKernel

extension File {
    /// The steps of ``syncRange(_:_:deadline:)``: flags of sync_file_range(2).
    public struct RangeSync: OptionSet, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }

        /// Waits for writeback of the range that is already in progress.
        public static let waitBefore = RangeSync(rawValue: CK_SYNC_FILE_RANGE_WAIT_BEFORE)
        /// Starts writeback of dirty pages.
        public static let write = RangeSync(rawValue: CK_SYNC_FILE_RANGE_WRITE)
        /// Waits for the writeback to complete.
        public static let waitAfter = RangeSync(rawValue: CK_SYNC_FILE_RANGE_WAIT_AFTER)
    }

    /// Writes the dirty pages of a range of bytes to the device, in the given steps, by default all.
    ///
    /// This gives no durability: it flushes neither metadata nor the device's write cache, which ``sync(_:deadline:)``
    /// does. A range whose end is `Int64.max` extends to the end of the file, also if it grows meanwhile. Kernel call:
    /// sync_file_range(2).
    ///
    /// - Throws: ``IOError/Code/invalidArgument`` if the range is empty or begins before 0; `ESPIPE`
    ///   (``IOError/errno``) for a stream; ``IOError/Code/inputOutput`` or ``IOError/Code/noSpace`` if a page could not
    ///   be written.
    public func syncRange(
        _ range: Range<Int64> = 0..<Int64.max, _ steps: RangeSync = [.waitBefore, .write, .waitAfter],
        deadline: Deadline = .never
    ) async throws(IOError) {
        let count = try countToEnd(range, "sync_file_range")
        _ = try await perform(
            .syncRange(descriptor, offset: range.lowerBound, count: count, flags: steps.rawValue), deadline,
            "sync_file_range")
    }

    /// Sets the file's size in bytes: cuts the file off or extends it with zeros. Kernel call: ftruncate(2).
    ///
    /// - Throws: ``IOError/Code/invalidArgument`` for a negative size, or if the file is not open for writing;
    ///   ``IOError/Code/fileTooLarge`` beyond what the file system or the process's limit permits.
    public func truncate(to size: Int64, deadline: Deadline = .never) async throws(IOError) {
        _ = try await perform(.truncate(descriptor, size: size), deadline, "ftruncate")
    }

    /// What ``allocate(range:_:deadline:)`` does with a range: flags of fallocate(2).
    public struct Allocation: OptionSet, Sendable {
        public let rawValue: Int32
        public init(rawValue: Int32) { self.rawValue = rawValue }

        /// Does not change the file's size.
        public static let keepSize = Allocation(rawValue: CK_FALLOC_FL_KEEP_SIZE)
        /// Deallocates the range, which then reads as zeros. Requires ``keepSize``.
        public static let punchHole = Allocation(rawValue: CK_FALLOC_FL_PUNCH_HOLE)
        /// The range reads as zeros and stays allocated.
        public static let zeroRange = Allocation(rawValue: CK_FALLOC_FL_ZERO_RANGE)
    }

    /// Allocates space for a range of bytes, so that later writes to it do not fail for lack of space.
    ///
    /// The file grows if the range extends beyond its end, unless `mode` has ``Allocation/keepSize``. After a
    /// cancellation or an error, part of the space may be allocated. Kernel call: fallocate(2).
    ///
    /// - Throws: ``IOError/Code/noSpace``; ``IOError/Code/notSupported`` if the file system does not know the mode;
    ///   ``IOError/Code/fileTooLarge`` beyond its largest file; ``IOError/Code/invalidArgument`` if the range is empty
    ///   or begins before 0.
    public func allocate(
        range: Range<Int64>, _ mode: Allocation = [], deadline: Deadline = .never
    ) async throws(IOError) {
        try check(range, "fallocate")
        let (offset, count) = (range.lowerBound, range.upperBound - range.lowerBound)
        _ = try await perform(
            .allocate(descriptor, mode: mode.rawValue, offset: offset, count: count), deadline, "fallocate")
    }

    /// The expected access pattern: advice of posix_fadvise(2).
    public enum Advice: Int32, Sendable {
        // The numbers are the kernel's POSIX_FADV_ values on all architectures but s390.

        /// No particular pattern: the default readahead.
        case normal = 0
        /// Accesses in no order: no readahead.
        case random = 1
        /// Accesses in order: twice the default readahead.
        case sequential = 2
        /// Starts reading the range into the page cache.
        case willNeed = 3
        /// Drops the clean pages of the range from the page cache.
        case dontNeed = 4
        /// The range will be accessed once. Since Linux 6.3 its pages do not count as recently used.
        case noReuse = 5
    }

    /// Announces how a range of bytes will be accessed, by default the whole file. A range whose end is `Int64.max`
    /// extends to the end of the file, also if it grows later.
    ///
    /// The advice is a hint, and no content changes. Kernel call: posix_fadvise(2).
    ///
    /// - Throws: ``IOError/Code/invalidArgument`` if the range is empty or begins before 0; `ESPIPE`
    ///   (``IOError/errno``) for a pipe.
    public func advise(
        _ advice: Advice, range: Range<Int64> = 0..<Int64.max, deadline: Deadline = .never
    ) async throws(IOError) {
        let count = try countToEnd(range, "fadvise")
        _ = try await perform(
            .advise(descriptor, offset: range.lowerBound, count: count, advice: advice.rawValue), deadline, "fadvise")
    }

    /// The file's metadata. Kernel call: statx(2) with AT_EMPTY_PATH.
    public func status(deadline: Deadline = .never) async throws(IOError) -> FileStatus {
        let result = UnsafeMutablePointer<ck_statx>.allocate(capacity: 1)
        let empty = Path("").copyCString()
        defer {
            result.deallocate()
            empty.deallocate()
        }
        result.initialize(to: ck_statx())
        if try statusNow(deadline, result) { return FileStatus(result.pointee) }
        _ = try await perform(
            .status(
                directory: descriptor.number, path: UnsafePointer(empty), flags: CK_AT_EMPTY_PATH,
                mask: FileStatus.mask, result: result),
            deadline, "statx")
        return FileStatus(result.pointee)
    }

    /// Asks on the calling thread, unless the file system may have to ask a server. False if nothing was found out.
    private func statusNow(
        _ deadline: Deadline, _ result: UnsafeMutablePointer<ck_statx>
    ) throws(IOError) -> Bool {
        guard runtime.configuration.inlineAttempts, descriptor.backing != .remote else { return false }
        if guess.isTurnUsedUp(), runtime.isOnLoop { return false }
        try begin("statx", deadline)
        defer { lease.end() }
        return Kernel.status(descriptor.number, FileStatus.mask, result) >= 0
    }
}
