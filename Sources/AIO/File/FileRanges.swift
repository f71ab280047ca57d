internal import AIOCore
internal import CKernel

extension File {
    /// Gives the space of a range of bytes back to the file system. The range then reads as zeros; the size stays.
    /// fallocate(2) with FALLOC_FL_PUNCH_HOLE.
    public func punchHole(at offset: Int64, count: Int64, deadline: Deadline = .never) async throws(IOError) {
        try await allocate(at: offset, count: count, [.punchHole, .keepSize], deadline: deadline)
    }

    /// Makes a range of bytes read as zeros, with space allocated for it, mostly without writing any. The file grows
    /// if the range goes beyond its end, unless `keepSize`. fallocate(2) with FALLOC_FL_ZERO_RANGE.
    public func zeroRange(
        at offset: Int64, count: Int64, keepSize: Bool = false, deadline: Deadline = .never
    ) async throws(IOError) {
        try await allocate(
            at: offset, count: count, keepSize ? [.zeroRange, .keepSize] : .zeroRange, deadline: deadline)
    }

    /// The first byte from `offset` on that is not in a hole; nil if there is none before the end. File systems without
    /// holes have data everywhere. Moves the descriptor's position, which nothing else here uses. lseek(2), SEEK_DATA.
    public func nextData(from offset: Int64, deadline: Deadline = .never) async throws(IOError) -> Int64? {
        try await seek(offset, CK_SEEK_DATA, deadline)
    }

    /// The first byte from `offset` on that is in a hole; the end of the file counts as one. nil if `offset` is at the
    /// end or beyond. As `nextData`; lseek(2), SEEK_HOLE.
    public func nextHole(from offset: Int64, deadline: Deadline = .never) async throws(IOError) -> Int64? {
        try await seek(offset, CK_SEEK_HOLE, deadline)
    }

    private func seek(_ offset: Int64, _ from: Int32, _ deadline: Deadline) async throws(IOError) -> Int64? {
        guard offset >= 0 else {
            throw IOError(.invalidArgument, "lseek", path: path, advice: "the offset is negative")
        }
        let position = UnsafeMutablePointer<Int64>.allocate(capacity: 1)
        defer { position.deallocate() }
        position.initialize(to: 0)
        do throws(IOError) {
            _ = try await perform(
                .call(.seek(descriptor.number, offset: offset, from: from, position: position)), deadline, "lseek")
            return position.pointee
        } catch {
            guard error.errno == Errno(rawValue: ENXIO) else { throw error }
            return nil
        }
    }
}
