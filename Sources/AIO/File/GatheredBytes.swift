internal import AIOCore
internal import CKernel

/// Pieces of memory that one transfer writes in order: the vectors of writev(2). The caller keeps the memory in place.
struct GatheredBytes: ~Copyable {
    private let vectors: UnsafeMutablePointer<iovec>
    /// The first vector that is left, and the one after the last.
    private var start = 0
    private var end = 0

    /// The maximum number of vectors of one transfer (IOV_MAX).
    private static var transferMax: Int { 1024 }

    init(capacity: Int) { vectors = .allocate(capacity: max(capacity, 1)) }

    deinit { vectors.deallocate() }

    /// Appends a piece. Empty ones are left out.
    mutating func append(_ bytes: RawSpan) { bytes.withUnsafeBytes { append($0) } }

    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count > 0 else { return }
        // A write only reads through the pointer.
        let base = UnsafeMutableRawPointer(mutating: bytes.baseAddress)
        (vectors + end).initialize(to: iovec(iov_base: base, iov_len: bytes.count))
        end += 1
    }

    var isEmpty: Bool { start == end }

    /// The first piece; nil if nothing is left.
    var first: UnsafeRawBufferPointer? {
        isEmpty ? nil : UnsafeRawBufferPointer(start: vectors[start].iov_base, count: vectors[start].iov_len)
    }

    /// What is left, as an array of vectors.
    var pieces: UnsafeMutablePointer<iovec> { vectors + start }

    /// The number of vectors that one transfer takes.
    var count: Int { min(end - start, Self.transferMax) }

    /// Calls `body` with the vectors of the first `limit` bytes, or as many as one transfer takes. The last of them may
    /// be a part of its piece.
    func withFirst<R>(
        _ limit: Int, _ body: (UnsafeMutablePointer<iovec>, Int) throws(IOError) -> R
    ) throws(IOError) -> R {
        var left = limit
        var whole = 0
        while whole < count, pieces[whole].iov_len <= left {
            left -= pieces[whole].iov_len
            whole += 1
        }
        guard whole < count, left > 0 else { return try body(pieces, whole) }
        let length = pieces[whole].iov_len
        pieces[whole].iov_len = left
        defer { pieces[whole].iov_len = length }
        return try body(pieces, whole + 1)
    }

    /// A transfer of as many pieces as one can take.
    func transfer(_ descriptor: Descriptor, _ offset: Int64, _ flags: TransferFlags) -> Transfer {
        Transfer(
            descriptor, pieces, count: count, offset: offset, flags: flags,
            form: [.writing, .vectored])
    }

    /// Removes the first `count` bytes.
    mutating func removeFirst(_ count: Int) {
        var count = count
        while start < end, count >= vectors[start].iov_len {
            count -= vectors[start].iov_len
            start += 1
        }
        guard start < end else { return }
        vectors[start].iov_base += count
        vectors[start].iov_len -= count
    }
}

extension GatheredBytes {
    init(_ first: RawSpan, _ second: RawSpan, _ third: RawSpan, _ fourth: RawSpan) {
        self.init(capacity: 4)
        append(first)
        append(second)
        append(third)
        append(fourth)
    }

    /// The caller keeps `arrays` alive: an array's elements stay where they are while nobody changes it.
    init(_ arrays: [[UInt8]]) {
        self.init(capacity: arrays.count)
        for array in arrays { array.withUnsafeBytes { append($0) } }
    }
}

extension File {
    /// Writes several pieces of the caller's memory one after the other at `offset`, in one transfer, and returns the
    /// total number of bytes written.
    ///
    /// The result may be less than the pieces' total: it may end in any of them. The memory is borrowed until the call
    /// returns. (A list of any number of spans would need an array of spans, which Swift 6.3 does not have; for more
    /// than four pieces see ``write(pieces:at:flags:deadline:)``, and ``IOVector`` for pool buffers.) Kernel call:
    /// pwritev2(2).
    ///
    /// - Throws: the errors of ``write(_:at:flags:deadline:)-(RawSpan,_,_,_)``.
    public func write(
        _ first: RawSpan, _ second: RawSpan, _ third: RawSpan = RawSpan(), _ fourth: RawSpan = RawSpan(),
        at offset: Int64, flags: TransferFlags = [], deadline: Deadline = .never
    ) async throws(IOError) -> Int {
        let bytes = GatheredBytes(first, second, third, fourth)
        return try await perform(bytes.transfer(descriptor, offset, flags), deadline)
    }

    /// Writes all of several pieces of the caller's memory, from `offset` on; a short write is continued, also in the
    /// middle of a piece. After an error, part of them may be written. The memory is borrowed until the call returns.
    ///
    /// - Throws: ``IOError/Code/noSpace`` also if a write makes no progress, and the errors of
    ///   ``write(_:at:flags:deadline:)-(RawSpan,_,_,_)``.
    public func writeAll(
        _ first: RawSpan, _ second: RawSpan, _ third: RawSpan = RawSpan(), _ fourth: RawSpan = RawSpan(),
        at offset: Int64, flags: TransferFlags = [], deadline: Deadline = .never
    ) async throws(IOError) {
        var bytes = GatheredBytes(first, second, third, fourth)
        try await writeAll(&bytes, offset, flags, deadline)
    }

    /// Writes arrays one after the other at `offset`, in one transfer, and returns the total number of bytes written.
    /// One transfer takes the first 1024 that are not empty, the kernel's limit (IOV_MAX). The result may be less than
    /// their total. Kernel call: pwritev2(2).
    ///
    /// - Throws: the errors of ``write(_:at:flags:deadline:)-(RawSpan,_,_,_)``.
    public func write(
        pieces: [[UInt8]], at offset: Int64, flags: TransferFlags = [], deadline: Deadline = .never
    ) async throws(IOError) -> Int {
        defer { withExtendedLifetime(pieces) {} }
        let bytes = GatheredBytes(pieces)
        return try await perform(bytes.transfer(descriptor, offset, flags), deadline)
    }

    /// Writes all of any number of arrays from `offset` on, in one transfer for each 1024 of them; a short write is
    /// continued. After an error, part of them may be written.
    ///
    /// - Throws: ``IOError/Code/noSpace`` also if a write makes no progress, and the errors of
    ///   ``write(_:at:flags:deadline:)-(RawSpan,_,_,_)``.
    public func writeAll(
        pieces: [[UInt8]], at offset: Int64, flags: TransferFlags = [], deadline: Deadline = .never
    ) async throws(IOError) {
        defer { withExtendedLifetime(pieces) {} }
        var bytes = GatheredBytes(pieces)
        try await writeAll(&bytes, offset, flags, deadline)
    }

    private func writeAll(
        _ bytes: inout GatheredBytes, _ offset: Int64, _ flags: TransferFlags, _ deadline: Deadline
    ) async throws(IOError) {
        var offset = offset
        while !bytes.isEmpty {
            let written = try await perform(bytes.transfer(descriptor, offset, flags), deadline)
            guard written > 0 else { throw IOError(.noSpace, "write", path: path) }
            bytes.removeFirst(written)
            guard !bytes.isEmpty else { return }
            let (next, overflows) = offset.addingReportingOverflow(Int64(written))
            guard !overflows else { throw .beyondOffsets("write", path) }
            offset = next
        }
    }
}
