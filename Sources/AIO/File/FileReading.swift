public import AIOCore
internal import CKernel

extension File {
    /// Reads at `offset` into the caller's memory and returns the number of bytes read.
    ///
    /// The result is 0 at the end of the file. It may be less than the size of the memory at the end of the file, or
    /// after any other short read. Streams ignore the offset. The memory is borrowed until the call returns, and the
    /// call returns only when the kernel no longer uses it, also after a cancellation. Kernel call: preadv2(2).
    ///
    /// - Throws: ``IOError/Code/wouldBlock`` (with `TransferFlags.noWait`), ``IOError/Code/cancelled``,
    ///   ``IOError/Code/deadlineExceeded``, ``IOError/Code/fileClosed``, ``IOError/Code/isDirectory``,
    ///   ``IOError/Code/invalidArgument`` for a negative offset or one that direct I/O does not permit, or another
    ///   error of preadv2(2).
    public func read(
        into bytes: inout MutableRawSpan, at offset: Int64, flags: TransferFlags = [],
        deadline: Deadline = .never
    ) async throws(IOError) -> Int {
        let (base, count) = bytes.withUnsafeMutableBytes { ($0.baseAddress, $0.count) }
        return try await read(base, count, offset, flags, deadline)
    }

    /// Reads from `offset` until the caller's memory is full; a short read is continued. The memory is borrowed until
    /// the call returns, and after an error it may hold a part. Kernel call: preadv2(2), as often as needed.
    ///
    /// - Throws: ``IOError/Code/unexpectedEndOfFile`` if the file ends before that, or the errors of
    ///   ``read(into:at:flags:deadline:)-(MutableRawSpan,_,_,_)``.
    public func readExactly(
        into bytes: inout MutableRawSpan, at offset: Int64, flags: TransferFlags = [],
        deadline: Deadline = .never
    ) async throws(IOError) {
        let (base, count) = bytes.withUnsafeMutableBytes { ($0.baseAddress, $0.count) }
        try await readExactly(base, count, offset, flags, deadline)
    }

    /// Reads at `offset` up to the capacity of `buffer`, sets the buffer's count to the number of bytes read, and
    /// returns it: 0 at the end of the file. After an error the count is unchanged. Kernel call: preadv2(2).
    ///
    /// - Throws: the errors of ``read(into:at:flags:deadline:)-(MutableRawSpan,_,_,_)``.
    @discardableResult
    public func read(
        into buffer: inout IOBuffer, at offset: Int64, flags: TransferFlags = [],
        deadline: Deadline = .never
    ) async throws(IOError) -> Int {
        let count = try await read(buffer.base, buffer.capacity, offset, flags, deadline)
        buffer.count = count
        return count
    }

    /// Reads up to `count` bytes at `offset` into a new array. The array is shorter after a short read, and empty at
    /// the end of the file.
    ///
    /// One read transfers at most 2 GiB less a page. Of more than 16 MiB, no more are allocated than the file has.
    /// Kernel call: preadv2(2); for more than 16 MiB also statx(2).
    ///
    /// - Throws: ``IOError/Code/invalidArgument`` for a negative count, and the errors of
    ///   ``read(into:at:flags:deadline:)-(MutableRawSpan,_,_,_)``.
    public func read(
        upTo count: Int, at offset: Int64, flags: TransferFlags = [], deadline: Deadline = .never
    ) async throws(IOError) -> [UInt8] {
        var count = count
        if count > LargeArray.pieceSize {
            // If the file is shorter than `count`, allocate no more than it has.
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

    /// Reads exactly `count` bytes at `offset` into a new array; a short read is continued.
    ///
    /// An array of more than 16 MiB grows with what is read, so that a count beyond the end of the file fails before
    /// the memory does. Kernel call: preadv2(2), as often as needed.
    ///
    /// - Throws: ``IOError/Code/unexpectedEndOfFile`` if the file has fewer, ``IOError/Code/invalidArgument`` for a
    ///   negative count, and the errors of ``read(into:at:flags:deadline:)-(MutableRawSpan,_,_,_)``.
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

    /// Reads at `offset` into the buffers of `vector` in order, and returns the total number of bytes read: 0 at the
    /// end of the file. A short read ends in any of them. The buffers' counts say how much is asked for, and do not
    /// change. Kernel call: preadv2(2).
    ///
    /// - Throws: the errors of ``read(into:at:flags:deadline:)-(MutableRawSpan,_,_,_)``.
    public func read(
        into vector: inout IOVector, at offset: Int64, flags: TransferFlags = [],
        deadline: Deadline = .never
    ) async throws(IOError) -> Int {
        let transfer = Transfer(
            descriptor, vector.vectors, count: vector.count, offset: offset, flags: flags, form: .vectored)
        return try await perform(transfer, deadline)
    }

    /// Uninitialized memory for `count` bytes.
    private func emptyRoom(for count: Int) throws(IOError) -> [UInt8] {
        guard count >= 0 else {
            throw IOError(.invalidArgument, "read", path: path, advice: "the count is negative")
        }
        // An array without capacity is the empty array that all threads share, and setting its count would write to it.
        return [UInt8](unsafeUninitializedCapacity: max(count, 1)) { _, initialized in initialized = count }
    }

    /// `read` into memory whose address the caller keeps fixed until the call returns.
    @inline(__always)
    func read(
        _ base: UnsafeMutableRawPointer?, _ count: Int, _ offset: Int64, _ flags: TransferFlags,
        _ deadline: Deadline
    ) async throws(IOError) -> Int {
        let transfer = Transfer(descriptor, base, count: count, offset: offset, flags: flags)
        return try await perform(transfer, deadline)
    }

    /// `readExactly` into memory whose address the caller keeps fixed until the call returns.
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
