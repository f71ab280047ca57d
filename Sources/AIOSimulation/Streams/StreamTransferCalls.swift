internal import AIOCore
internal import CKernel

/// Calls on any descriptor, answered here for streams: nil for files, and EBADF for what is not open.
extension SimulatedKernel {
    func answerTransferCall(_ call: SystemCall) -> Int? {
        switch call.number {
        case Int(CK_NR_read): return read(call, at: nil)
        case Int(CK_NR_pread64): return read(call, at: Int64(call.d))
        case Int(CK_NR_write): return write(call, at: nil)
        case Int(CK_NR_pwrite64): return write(call, at: Int64(call.d))
        case Int(CK_NR_readv): return readVectors(call, at: nil, flags: 0)
        case Int(CK_NR_writev): return writeVectors(call, at: nil, flags: 0)
        case Int(CK_NR_preadv): return readVectors(call, at: Int64(call.d), flags: 0)
        case Int(CK_NR_pwritev): return writeVectors(call, at: Int64(call.d), flags: 0)
        case Int(CK_NR_preadv2):
            return readVectors(call, at: call.d == -1 ? nil : Int64(call.d), flags: UInt32(truncatingIfNeeded: call.f))
        case Int(CK_NR_pwritev2):
            return writeVectors(call, at: call.d == -1 ? nil : Int64(call.d), flags: UInt32(truncatingIfNeeded: call.f))
        default: return nil
        }
    }

    /// The largest number of bytes in one call: MAX_RW_COUNT.
    static let transferMax = 0x7fff_f000

    private func read(_ call: SystemCall, at offset: Int64?) -> Int? {
        with(call) { stream in
            guard stream.isReadable else { return -Int(EBADF) }
            guard call.c >= 0 else { return -Int(EINVAL) }
            guard call.b != 0 || call.c == 0 else { return -Int(EFAULT) }
            let count = min(call.c, Self.transferMax)
            let buffer = UnsafeMutableRawBufferPointer(
                start: UnsafeMutableRawPointer(bitPattern: call.b), count: call.b == 0 ? 0 : count)
            return stream.read(into: [buffer], at: offset, flags: 0)
        }
    }

    private func write(_ call: SystemCall, at offset: Int64?) -> Int? {
        with(call) { stream in
            guard stream.isWritable else { return -Int(EBADF) }
            guard call.c >= 0 else { return -Int(EINVAL) }
            guard call.b != 0 || call.c == 0 else { return -Int(EFAULT) }
            let count = min(call.c, Self.transferMax)
            let buffer = UnsafeRawBufferPointer(
                start: UnsafeRawPointer(bitPattern: call.b), count: call.b == 0 ? 0 : count)
            return stream.write([buffer], at: offset, flags: 0)
        }
    }

    private func readVectors(_ call: SystemCall, at offset: Int64?, flags: UInt32) -> Int? {
        with(call) { stream in
            guard stream.isReadable else { return -Int(EBADF) }
            guard offset == nil else { return -Int(ESPIPE) }
            let vectors = IOVectors(UnsafePointer(bitPattern: call.b), call.c)
            guard vectors.result > 0 else { return vectors.result }
            return stream.read(into: vectors.buffers, at: offset, flags: flags)
        }
    }

    private func writeVectors(_ call: SystemCall, at offset: Int64?, flags: UInt32) -> Int? {
        with(call) { stream in
            guard stream.isWritable else { return -Int(EBADF) }
            guard offset == nil else { return -Int(ESPIPE) }
            let vectors = IOVectors(UnsafePointer(bitPattern: call.b), call.c)
            guard vectors.result > 0 else { return vectors.result }
            return stream.write(vectors.buffers.map { UnsafeRawBufferPointer($0) }, at: offset, flags: flags)
        }
    }

    /// Calls `body` with the stream of the call's first argument; nil if it is another file.
    private func with(_ call: SystemCall, _ body: (StreamDescription) -> Int) -> Int? {
        guard let open = descriptors[call.a] else { return -Int(EBADF) }
        return (open as? StreamDescription).map(body)
    }

    // MARK: Other calls on descriptors

    func answerDescriptorCall(_ call: SystemCall) -> Int? {
        switch call.number {
        case Int(CK_NR_close): return descriptors.remove(call.a)
        case Int(CK_NR_fcntl): return with(call) { control($0, call) }
        case Int(CK_NR_statx):
            let isEmpty = UnsafePointer<CChar>(bitPattern: call.b).map { $0.pointee == 0 } ?? true
            guard isEmpty, call.c & Int(CK_AT_EMPTY_PATH) != 0 else { return nil }
            guard let status = UnsafeMutablePointer<ck_statx>(bitPattern: call.e) else { return -Int(EFAULT) }
            return with(call) { $0.status(status) }
        case Int(CK_NR_ioctl):
            return with(call) { stream in
                guard call.b == Int(CK_FIONREAD), let count = stream.availableCount else { return -Int(ENOTTY) }
                guard let result = UnsafeMutablePointer<Int32>(bitPattern: call.c) else { return -Int(EFAULT) }
                if count >= 0 { result.pointee = Int32(clamping: count) }
                return min(count, 0)
            }
        case Int(CK_NR_lseek), Int(CK_NR_sync_file_range): return with(call) { _ in -Int(ESPIPE) }
        case Int(CK_NR_fsync), Int(CK_NR_fdatasync), Int(CK_NR_ftruncate), Int(CK_NR_readahead):
            return with(call) { _ in -Int(EINVAL) }
        case Int(CK_NR_fallocate): return with(call) { -Int($0.fileType == CK_S_IFIFO ? ESPIPE : ENODEV) }
        case Int(CK_NR_fadvise64): return with(call) { $0.fileType == CK_S_IFIFO ? -Int(ESPIPE) : 0 }
        case Int(CK_NR_getdents64): return with(call) { _ in -Int(ENOTDIR) }
        default: return nil
        }
    }

    /// fcntl(2).
    private func control(_ stream: StreamDescription, _ call: SystemCall) -> Int {
        switch Int32(truncatingIfNeeded: call.b) {
        case CK_F_GETFL: return Int(stream.flags)
        case CK_F_SETFL:
            stream.flags = stream.flags & ~CK_O_NONBLOCK | UInt64(truncatingIfNeeded: call.c) & CK_O_NONBLOCK
            return 0
        case CK_F_DUPFD_CLOEXEC:
            guard call.c >= 0, call.c < 1 << 30 else { return -Int(EINVAL) }
            return descriptors.add(stream, from: call.c)
        case CK_F_DUPFD_QUERY:
            guard let other = descriptors[call.c] else { return -Int(EBADF) }
            return other === stream ? 1 : 0
        case CK_F_SETPIPE_SZ:
            return (stream as? PipeEnd)?.buffer.resize(Int(Int32(truncatingIfNeeded: call.c))) ?? -Int(EBADF)
        case CK_F_GETPIPE_SZ:
            return (stream as? PipeEnd).map { $0.buffer.pageLimit * PipeBuffer.pageSize } ?? -Int(EBADF)
        default: return -Int(EINVAL)
        }
    }
}

/// The buffers of a vectored call.
struct IOVectors {
    private(set) var buffers: [UnsafeMutableRawBufferPointer] = []
    /// The number of bytes, at most MAX_RW_COUNT, or a negative errno.
    private(set) var result = 0

    init(_ vectors: UnsafePointer<iovec>?, _ count: Int) {
        guard (0...1024).contains(count) else {
            result = -Int(EINVAL)
            return
        }
        guard let vectors else {
            result = count == 0 ? 0 : -Int(EFAULT)
            return
        }
        for index in 0..<count {
            let length = Int(bitPattern: UInt(vectors[index].iov_len))
            guard length >= 0 else {
                result = -Int(EINVAL)
                return
            }
            let part = min(length, SimulatedKernel.transferMax - result)
            guard part > 0 else { continue }
            guard let base = vectors[index].iov_base else {
                // What precedes a bad buffer is transferred.
                if result == 0 { result = -Int(EFAULT) }
                return
            }
            buffers.append(UnsafeMutableRawBufferPointer(start: base, count: part))
            result += part
        }
    }
}
