public import AIOCore

extension File {
    /// Writes at `offset` from the caller's memory. Returns the bytes written, which may be fewer than were given (a
    /// full disk, a limit, a stream without room). Files opened with `.append`, and streams, ignore the offset.
    ///
    /// The memory is borrowed until this returns, which it does only once the kernel is done with it, also when the
    /// task is cancelled. What was written is durable after `sync`, or at once with the flags `.dataSync`, `.sync`.
    /// Throws `cancelled`, `deadlineExceeded`, `wouldBlock` (with `.noWait`), `fileClosed`, or what pwritev2(2) says.
    public func write(
        _ bytes: RawSpan, at offset: Int64, flags: TransferFlags = [], deadline: Deadline = .never
    ) async throws(IOError) -> Int {
        let (base, count) = bytes.withUnsafeBytes { ($0.baseAddress, $0.count) }
        return try await write(base, count, offset, flags, deadline)
    }

    /// Writes all of the caller's memory from `offset` on. After an error some of it may be written. As `write`.
    public func writeAll(
        _ bytes: RawSpan, at offset: Int64, flags: TransferFlags = [], deadline: Deadline = .never
    ) async throws(IOError) {
        let (base, count) = bytes.withUnsafeBytes { ($0.baseAddress, $0.count) }
        try await writeAll(base, count, offset, flags, deadline)
    }

    /// `write` from an array.
    public func write(
        _ bytes: [UInt8], at offset: Int64, flags: TransferFlags = [], deadline: Deadline = .never
    ) async throws(IOError) -> Int {
        try await write(bytes.span.bytes, at: offset, flags: flags, deadline: deadline)
    }

    /// `writeAll` from an array.
    public func writeAll(
        _ bytes: [UInt8], at offset: Int64, flags: TransferFlags = [], deadline: Deadline = .never
    ) async throws(IOError) {
        try await writeAll(bytes.span.bytes, at: offset, flags: flags, deadline: deadline)
    }

    /// Writes `buffer.count` bytes of a pool's buffer at `offset`. As `write`.
    public func write(
        _ buffer: borrowing IOBuffer, at offset: Int64, flags: TransferFlags = [],
        deadline: Deadline = .never
    ) async throws(IOError) -> Int {
        try await write(UnsafeRawPointer(buffer.base), buffer.count, offset, flags, deadline)
    }

    /// Writes the buffers of `vector`, one after the other, at `offset`. Returns the bytes written in all. The kernel
    /// call is pwritev2(2).
    public func write(
        _ vector: borrowing IOVector, at offset: Int64, flags: TransferFlags = [],
        deadline: Deadline = .never
    ) async throws(IOError) -> Int {
        let transfer = Transfer(descriptor, vector.vectors, count: vector.count, offset: offset, flags: flags)
        return try await perform(.writeVectored, transfer, deadline)
    }

    @inline(__always)
    private func write(
        _ base: UnsafeRawPointer?, _ count: Int, _ offset: Int64, _ flags: TransferFlags,
        _ deadline: Deadline
    ) async throws(IOError) -> Int {
        // The kernel only reads through it.
        let transfer = Transfer(
            descriptor, UnsafeMutableRawPointer(mutating: base), count: count, offset: offset, flags: flags)
        return try await perform(.write, transfer, deadline)
    }
    /// `writeAll` from memory that the caller keeps where it is until this returns.
    func writeAll(
        _ base: UnsafeRawPointer?, _ count: Int, _ offset: Int64, _ flags: TransferFlags,
        _ deadline: Deadline
    ) async throws(IOError) {
        var done = 0
        while done < count {
            let (start, overflows) = offset.addingReportingOverflow(Int64(done))
            guard !overflows else { throw .beyondOffsets("write", path) }
            let written = try await write(base.map { $0 + done }, count - done, start, flags, deadline)
            guard written > 0 else { throw IOError(.noSpace, "write", path: path) }
            done += written
        }
    }
}
