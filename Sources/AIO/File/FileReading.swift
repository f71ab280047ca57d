public import AIOCore
internal import CKernel

extension File {
    /// Reads at `offset` into the caller's memory. Returns the bytes read: fewer than asked for if the file ends there
    /// (or the kernel felt like it), zero at the end of the file. Streams ignore the offset.
    ///
    /// The memory is borrowed until this returns, which it does only once the kernel is done with it, also when the
    /// task is cancelled. Throws `cancelled`, `deadlineExceeded`, `wouldBlock` (with `.noWait`), `fileClosed`, or
    /// what preadv2(2) says.
    public func read(
        into bytes: inout MutableRawSpan, at offset: Int64, flags: TransferFlags = [],
        deadline: Deadline = .never
    ) async throws(IOError) -> Int {
        let (base, count) = bytes.withUnsafeMutableBytes { ($0.baseAddress, $0.count) }
        return try await read(base, count, offset, flags, deadline)
    }

    /// Fills all of the caller's memory from `offset` on. Throws `unexpectedEndOfFile` if the file ends before; otherwise
    /// as `read`.
    public func readExactly(
        into bytes: inout MutableRawSpan, at offset: Int64, flags: TransferFlags = [],
        deadline: Deadline = .never
    ) async throws(IOError) {
        let (base, count) = bytes.withUnsafeMutableBytes { ($0.baseAddress, $0.count) }
        try await readExactly(base, count, offset, flags, deadline)
    }

    /// Reads at `offset` as much as `buffer` holds, and sets its count to the bytes read. As `read(into:at:)`.
    @discardableResult
    public func read(
        into buffer: inout IOBuffer, at offset: Int64, flags: TransferFlags = [],
        deadline: Deadline = .never
    ) async throws(IOError) -> Int {
        let count = try await read(buffer.base, buffer.capacity, offset, flags, deadline)
        buffer.count = count
        return count
    }

    /// Reads at `offset` up to `count` bytes into a new array, which is shorter if the file ends there.
    public func read(
        count: Int, at offset: Int64, flags: TransferFlags = [], deadline: Deadline = .never
    ) async throws(IOError) -> [UInt8] {
        var count = count
        if count > LargeArray.pieceSize {
            // Of a file that is shorter, no more memory than for what there is.
            let left = max(0, try await status(deadline: deadline).size &- max(0, offset))
            count = min(count, max(Int(clamping: left), LargeArray.pieceSize), LargeArray.transferMax)
        }
        var array = try emptyRoom(for: count)
        var elements = array.mutableSpan
        var bytes = elements.mutableBytes
        let read = try await read(into: &bytes, at: offset, flags: flags, deadline: deadline)
        array.removeLast(count - read)
        return array
    }

    /// Reads exactly `count` bytes at `offset` into a new array. Throws `unexpectedEndOfFile` if there are fewer.
    public func readExactly(
        count: Int, at offset: Int64, flags: TransferFlags = [], deadline: Deadline = .never
    ) async throws(IOError) -> [UInt8] {
        guard count <= LargeArray.pieceSize else {
            return try await LargeArray.fill(count, after: []) { base, done, room throws(IOError) in
                let (start, overflows) = offset.addingReportingOverflow(Int64(done))
                guard !overflows else { throw .beyondOffsets("read", path) }
                try await readExactly(base, room, start, flags, deadline)
            }
        }
        var array = try emptyRoom(for: count)
        var elements = array.mutableSpan
        var bytes = elements.mutableBytes
        try await readExactly(into: &bytes, at: offset, flags: flags, deadline: deadline)
        return array
    }

    /// Reads at `offset` into the buffers of `vector`, one after the other. Returns the bytes read in all; the buffers'
    /// counts stay as they were. The kernel call is preadv2(2).
    public func read(
        into vector: inout IOVector, at offset: Int64, flags: TransferFlags = [],
        deadline: Deadline = .never
    ) async throws(IOError) -> Int {
        let transfer = Transfer(descriptor, vector.vectors, count: vector.count, offset: offset, flags: flags)
        return try await perform(.readVectored, transfer, deadline)
    }

    /// Uninitialized memory for `count` bytes.
    private func emptyRoom(for count: Int) throws(IOError) -> [UInt8] {
        guard count >= 0 else {
            throw IOError(.invalidArgument, "read", path: path, advice: "the count is negative")
        }
        // Without room the array is the one empty array that all threads share, and its count would be written.
        return [UInt8](unsafeUninitializedCapacity: max(count, 1)) { _, initialized in initialized = count }
    }

    /// `read` into memory that the caller keeps where it is until this returns.
    @inline(__always)
    func read(
        _ base: UnsafeMutableRawPointer?, _ count: Int, _ offset: Int64, _ flags: TransferFlags,
        _ deadline: Deadline
    ) async throws(IOError) -> Int {
        let transfer = Transfer(descriptor, base, count: count, offset: offset, flags: flags)
        return try await perform(.read, transfer, deadline)
    }

    /// `readExactly`, as the one above.
    func readExactly(
        _ base: UnsafeMutableRawPointer?, _ count: Int, _ offset: Int64, _ flags: TransferFlags,
        _ deadline: Deadline
    ) async throws(IOError) {
        var done = 0
        while done < count {
            let (start, overflows) = offset.addingReportingOverflow(Int64(done))
            guard !overflows else { throw .beyondOffsets("read", path) }
            let read = try await read(base.map { $0 + done }, count - done, start, flags, deadline)
            guard read > 0 else {
                throw IOError(
                    .unexpectedEndOfFile, "read", path: path,
                    advice: "asked for \(count) bytes at \(offset), got \(done)")
            }
            done += read
        }
    }
}
