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

    /// What streams alone know; the file part answers the rest.
    func answerDescriptorCall(_ call: SystemCall) -> Int? {
        switch call.number {
        case Int(CK_NR_fcntl): return with(call) { control($0, call) }
        case Int(CK_NR_ioctl):
            return with(call) { stream in
                guard call.b == Int(CK_FIONREAD), let count = stream.availableCount else { return -Int(ENOTTY) }
                guard let result = UnsafeMutablePointer<Int32>(bitPattern: call.c) else { return -Int(EFAULT) }
                if count >= 0 { result.pointee = Int32(clamping: count) }
                return min(count, 0)
            }
        default: return nil
        }
    }

    /// fcntl(2).
    private func control(_ stream: StreamDescription, _ call: SystemCall) -> Int {
        let pipe = (stream as? PipeEnd)?.buffer
        switch Int32(truncatingIfNeeded: call.b) {
        case CK_F_SETPIPE_SZ: return pipe?.resize(Int(Int32(truncatingIfNeeded: call.c))) ?? -Int(EBADF)
        case CK_F_GETPIPE_SZ: return pipe.map { $0.pageLimit * PipeBuffer.pageSize } ?? -Int(EBADF)
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
            guard let base = vectors[index].iov_base, !SimulatedKernel.isNowhere(UInt(bitPattern: base)) else {
                // What precedes a bad buffer is transferred.
                if result == 0 { result = -Int(EFAULT) }
                return
            }
            buffers.append(UnsafeMutableRawBufferPointer(start: base, count: part))
            result += part
        }
    }
}
