internal import AIOCore
internal import CKernel

/// read(2), write(2) and their relatives on files; nil for streams.
extension SimulatedKernel {
    /// MAX_RW_COUNT: no transfer is longer.
    private static let transferLimit = Int(Int32.max) & ~4095

    func transfer(_ call: SystemCall) throws(CallError) -> Int? {
        guard Self.isTransfer(call.number) else { return nil }
        guard let open = descriptors[call.a] else { throw CallError(EBADF) }
        guard open is FileDescription || open is ChangeQueue else { return nil }
        let isWrite = Self.isWrite(call.number)
        let result = isWrite ? try written(open, call) : try readResult(open, call)
        // vfs_readv reports empty reads too.
        let reportsEmpty = !isWrite && call.number != CK_NR_read && call.number != CK_NR_pread64
        if let file = open as? FileDescription, result > 0 || (result == 0 && reportsEmpty) {
            fileSystem.notify(file.entry, isWrite ? CK_IN_MODIFY : CK_IN_ACCESS)
        }
        return result
    }

    private func readResult(_ open: OpenDescription, _ call: SystemCall) throws(CallError) -> Int {
        switch call.number {
        case CK_NR_read: try read(open, [iovec(call.b, call.c)], nil, 0)
        case CK_NR_pread64: try read(open, [iovec(call.b, call.c)], try place(open, call.d), 0)
        case CK_NR_readv: try read(open, try vectors(call), nil, 0)
        case CK_NR_preadv: try read(open, try vectors(call), try place(open, call.d), 0)
        default: try read(open, try vectors(call), call.d == -1 ? nil : try place(open, call.d), call.f)
        }
    }

    private func written(_ open: OpenDescription, _ call: SystemCall) throws(CallError) -> Int {
        switch call.number {
        case CK_NR_write: try write(open, [iovec(call.b, call.c)], nil, 0)
        case CK_NR_pwrite64: try write(open, [iovec(call.b, call.c)], try place(open, call.d), 0)
        case CK_NR_writev: try write(open, try vectors(call), nil, 0)
        case CK_NR_pwritev: try write(open, try vectors(call), try place(open, call.d), 0)
        default: try write(open, try vectors(call), call.d == -1 ? nil : try place(open, call.d), call.f)
        }
    }

    private static func isTransfer(_ number: Int) -> Bool {
        isWrite(number) || [CK_NR_read, CK_NR_pread64, CK_NR_readv, CK_NR_preadv, CK_NR_preadv2].contains(number)
    }

    private static func isWrite(_ number: Int) -> Bool {
        [CK_NR_write, CK_NR_pwrite64, CK_NR_writev, CK_NR_pwritev, CK_NR_pwritev2].contains(number)
    }

    private func place(_ open: OpenDescription, _ offset: Int) throws(CallError) -> Int64 {
        try require(offset >= 0, EINVAL)
        try require((open as? FileDescription)?.isPathOnly != true, EBADF)
        try require(open is FileDescription, ESPIPE)
        return Int64(offset)
    }

    private func iovec(_ address: Int, _ count: Int) -> iovec {
        CKernel.iovec(iov_base: UnsafeMutableRawPointer(bitPattern: address), iov_len: count)
    }

    private func vectors(_ call: SystemCall) throws(CallError) -> [iovec] {
        try require(0...1024 ~= call.c, EINVAL)
        guard call.c > 0 else { return [] }
        guard let first = UnsafePointer<iovec>(bitPattern: call.b) else { throw CallError(EFAULT) }
        return Array(UnsafeBufferPointer(start: first, count: call.c))
    }

    private func read(
        _ open: OpenDescription, _ vectors: [iovec], _ offset: Int64?, _ flags: Int
    ) throws(CallError) -> Int {
        let file = open as? FileDescription
        try require(file?.mayRead ?? true, EBADF)
        let buffers = try memory(vectors)
        guard buffers.contains(where: { !$0.isEmpty }) else { return 0 }
        if file?.inode is Directory { return open.read(into: [], at: nil, flags: UInt32(truncatingIfNeeded: flags)) }
        try checkRange(offset, buffers)
        try check(flags, writing: false)
        return open.read(into: buffers, at: offset, flags: UInt32(flags))
    }

    private func write(
        _ open: OpenDescription, _ vectors: [iovec], _ offset: Int64?, _ flags: Int
    ) throws(CallError) -> Int {
        let file = open as? FileDescription
        try require(file?.mayWrite ?? false, EBADF)
        let buffers = try memory(vectors)
        guard buffers.contains(where: { !$0.isEmpty }) else { return 0 }
        try checkRange(offset, buffers)
        try check(flags, writing: true)
        return open.write(buffers.map { UnsafeRawBufferPointer($0) }, at: offset, flags: UInt32(flags))
    }

    /// import_iovec: lengths that are negative are invalid, and more than the limit is cut off.
    private func memory(_ vectors: [iovec]) throws(CallError) -> [UnsafeMutableRawBufferPointer] {
        var rest = Self.transferLimit
        var buffers: [UnsafeMutableRawBufferPointer] = []
        for vector in vectors {
            try require(vector.iov_len >= 0, EINVAL)
            let count = min(vector.iov_len, rest)
            let isNowhere = vector.iov_base.map { Self.isNowhere(UInt(bitPattern: $0)) } ?? true
            try require(!isNowhere || count == 0, EFAULT)
            buffers.append(UnsafeMutableRawBufferPointer(start: vector.iov_base, count: count))
            rest -= count
        }
        return buffers
    }

    /// rw_verify_area: the range must not pass the largest offset.
    private func checkRange(_ offset: Int64?, _ buffers: [UnsafeMutableRawBufferPointer]) throws(CallError) {
        guard let offset else { return }
        let count = Int64(buffers.reduce(0) { $0 + $1.count })
        try require(!offset.addingReportingOverflow(count).overflow, EINVAL)
    }

    /// kiocb_set_rw_flags.
    private func check(_ flags: Int, writing: Bool) throws(CallError) {
        let known = CK_RWF_HIPRI | CK_RWF_DSYNC | CK_RWF_SYNC | CK_RWF_NOWAIT | CK_RWF_APPEND | CK_RWF_NOAPPEND
        // Atomic writes need a device that has them; here none has.
        try require(flags & ~Int(known | CK_RWF_DONTCACHE) == 0, EOPNOTSUPP)
        let both = Int(CK_RWF_APPEND | CK_RWF_NOAPPEND)
        try require(flags & both != both, EINVAL)
    }
}
