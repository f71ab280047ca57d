internal import AIOCore
internal import CKernel

extension File {
    /// Deallocates a range of bytes. The range then reads as zeros; the file's size does not change. Kernel call:
    /// fallocate(2) with FALLOC_FL_PUNCH_HOLE.
    ///
    /// - Throws: ``IOError/Code/notSupported`` if the file system has no holes; ``IOError/Code/invalidArgument`` if the
    ///   range is empty or begins before 0.
    public func punchHole(range: Range<Int64>, deadline: Deadline = .never) async throws(IOError) {
        try await allocate(range: range, [.punchHole, .keepSize], deadline: deadline)
    }

    /// Zeros a range of bytes, which stays or becomes allocated; most file systems do this without writing data. The
    /// file grows if the range extends beyond its end, unless `keepSize` is true. Kernel call: fallocate(2) with
    /// FALLOC_FL_ZERO_RANGE.
    ///
    /// - Throws: ``IOError/Code/notSupported`` if the file system cannot do this; ``IOError/Code/noSpace``;
    ///   ``IOError/Code/invalidArgument`` if the range is empty or begins before 0.
    public func zeroRange(
        _ range: Range<Int64>, keepSize: Bool = false, deadline: Deadline = .never
    ) async throws(IOError) {
        try await allocate(
            range: range, keepSize ? [.zeroRange, .keepSize] : .zeroRange, deadline: deadline)
    }

    /// The offset of the first byte at or after `offset` that is not in a hole; nil if there is none before the end. A
    /// file system without holes reports data everywhere.
    ///
    /// The call moves the position of the open file, which reads and writes at an offset do not use. Calls of this
    /// `File` that use the position exclude each other. Kernel call: lseek(2) with SEEK_DATA.
    ///
    /// - Throws: ``IOError/Code/invalidArgument`` if the offset is negative; `ESPIPE` (``IOError/errno``) for a stream.
    public func nextData(from offset: Int64, deadline: Deadline = .never) async throws(IOError) -> Int64? {
        try await seek(offset, CK_SEEK_DATA, deadline)
    }

    /// The offset of the first byte at or after `offset` that is in a hole; the end of the file counts as a hole. nil
    /// if `offset` is at or beyond the end. Moves the position of the open file, as ``nextData(from:deadline:)`` does.
    /// Kernel call: lseek(2) with SEEK_HOLE.
    ///
    /// - Throws: ``IOError/Code/invalidArgument`` if the offset is negative; `ESPIPE` (``IOError/errno``) for a stream.
    public func nextHole(from offset: Int64, deadline: Deadline = .never) async throws(IOError) -> Int64? {
        try await seek(offset, CK_SEEK_HOLE, deadline)
    }

    private func seek(_ offset: Int64, _ from: Int32, _ deadline: Deadline) async throws(IOError) -> Int64? {
        guard offset >= 0 else {
            throw IOError(.invalidArgument, "lseek", path: path, advice: "the offset is negative")
        }
        let seek = PositionSeek(self, offset, from, deadline)
        do throws(IOError) {
            _ = try await perform(seek, deadline, "lseek")
            return seek.position
        } catch {
            guard error.errno == Errno(rawValue: ENXIO) else { throw error }
            return nil
        }
    }

    // MARK: Ranges of bytes

    /// Refuses a range that names no byte, or one before the file.
    func check(_ range: Range<Int64>, _ name: String) throws(IOError) {
        guard range.lowerBound >= 0, !range.isEmpty else {
            throw IOError(.invalidArgument, name, path: path, advice: "the range is empty or begins before 0")
        }
    }

    /// The length of a range for a system call for which 0 means "to the end of the file": sync_file_range(2),
    /// posix_fadvise(2), fcntl(2). That is what a range means whose end no file reaches.
    func countToEnd(_ range: Range<Int64>, _ name: String) throws(IOError) -> Int64 {
        try check(range, name)
        return range.upperBound == .max ? 0 : range.upperBound - range.lowerBound
    }
}
