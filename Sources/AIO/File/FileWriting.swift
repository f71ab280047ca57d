public import AIOCore

extension File {
    /// Writes the caller's memory at `offset` and returns the number of bytes written.
    ///
    /// The result may be less than the size of the memory: the disk is full, a limit is reached, or a stream has no
    /// room. Files opened with ``OpenOptions/append``, and streams, ignore the offset. The memory is borrowed until the
    /// call returns, and the call returns only when the kernel no longer uses it, also after a cancellation. Written
    /// data is durable after ``sync(_:deadline:)``, or at once with the flags `TransferFlags.dataSync` and
    /// `TransferFlags.sync`. Kernel call: pwritev2(2).
    ///
    /// - Throws: ``IOError/Code/noSpace``, ``IOError/Code/fileTooLarge``, ``IOError/Code/wouldBlock`` (with
    ///   `TransferFlags.noWait`), ``IOError/Code/badDescriptor`` if the file is not open for writing,
    ///   ``IOError/Code/invalidArgument`` for a negative offset or one that direct I/O does not permit,
    ///   ``IOError/Code/brokenPipe`` (SIGPIPE is never raised), ``IOError/Code/cancelled``,
    ///   ``IOError/Code/deadlineExceeded``, ``IOError/Code/fileClosed``, or another error of pwritev2(2).
    public func write(
        _ bytes: RawSpan, at offset: Int64, flags: TransferFlags = [], deadline: Deadline = .never
    ) async throws(IOError) -> Int {
        let (base, count) = bytes.withUnsafeBytes { ($0.baseAddress, $0.count) }
        return try await write(base, count, offset, flags, deadline)
    }

    /// Writes all of the caller's memory from `offset` on; a short write is continued. After an error, part of it may
    /// be written. The memory is borrowed until the call returns. Kernel call: pwritev2(2), as often as needed.
    ///
    /// - Throws: ``IOError/Code/noSpace`` also if a write makes no progress, and the errors of
    ///   ``write(_:at:flags:deadline:)-(RawSpan,_,_,_)``.
    public func writeAll(
        _ bytes: RawSpan, at offset: Int64, flags: TransferFlags = [], deadline: Deadline = .never
    ) async throws(IOError) {
        let (base, count) = bytes.withUnsafeBytes { ($0.baseAddress, $0.count) }
        try await writeAll(base, count, offset, flags, deadline)
    }

    /// Writes an array at `offset` and returns the number of bytes written, possibly less than the array has.
    /// Everything else is as for a span: ``write(_:at:flags:deadline:)-(RawSpan,_,_,_)``.
    public func write(
        _ bytes: [UInt8], at offset: Int64, flags: TransferFlags = [], deadline: Deadline = .never
    ) async throws(IOError) -> Int {
        try await write(bytes.span.bytes, at: offset, flags: flags, deadline: deadline)
    }

    /// Writes all of an array from `offset` on; a short write is continued. After an error, part of it may be written.
    ///
    /// - Throws: the errors of ``writeAll(_:at:flags:deadline:)-(RawSpan,_,_,_)``.
    public func writeAll(
        _ bytes: [UInt8], at offset: Int64, flags: TransferFlags = [], deadline: Deadline = .never
    ) async throws(IOError) {
        try await writeAll(bytes.span.bytes, at: offset, flags: flags, deadline: deadline)
    }

    /// Writes the first ``IOBuffer/count`` bytes of a pool's buffer at `offset` and returns the number of bytes
    /// written, possibly less. Everything else is as for a span: ``write(_:at:flags:deadline:)-(RawSpan,_,_,_)``.
    public func write(
        _ buffer: borrowing IOBuffer, at offset: Int64, flags: TransferFlags = [],
        deadline: Deadline = .never
    ) async throws(IOError) -> Int {
        try await write(UnsafeRawPointer(buffer.base), buffer.count, offset, flags, deadline)
    }

    /// Writes the buffers of `vector` in order at `offset`, of each as many bytes as its count says, and returns the
    /// total number of bytes written. A short write ends in any of them. Kernel call: pwritev2(2).
    ///
    /// - Throws: the errors of ``write(_:at:flags:deadline:)-(RawSpan,_,_,_)``.
    public func write(
        _ vector: borrowing IOVector, at offset: Int64, flags: TransferFlags = [],
        deadline: Deadline = .never
    ) async throws(IOError) -> Int {
        let transfer = Transfer(
            descriptor, vector.vectors, count: vector.count, offset: offset, flags: flags,
            form: [.writing, .vectored])
        return try await perform(transfer, deadline)
    }

    @inline(__always)
    private func write(
        _ base: UnsafeRawPointer?, _ count: Int, _ offset: Int64, _ flags: TransferFlags,
        _ deadline: Deadline
    ) async throws(IOError) -> Int {
        // A write only reads through the pointer.
        let transfer = Transfer(
            descriptor, UnsafeMutableRawPointer(mutating: base), count: count, offset: offset, flags: flags,
            form: .writing)
        return try await perform(transfer, deadline)
    }

    /// `writeAll` from memory whose address the caller keeps fixed until the call returns.
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
