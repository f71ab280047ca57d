import AIO
import AIOCore
import CKernel
import Glibc

/// Memory at a stable address while it is referenced, aligned for direct I/O.
final class Memory: @unchecked Sendable {
    // @unchecked: a test passes it to one operation at a time.
    let base: UnsafeMutableRawPointer
    let count: Int

    init(count: Int) {
        self.count = count
        base = .allocate(byteCount: max(count, 1), alignment: 4096)
        base.initializeMemory(as: UInt8.self, repeating: 0, count: max(count, 1))
    }

    convenience init(_ bytes: [UInt8]) {
        self.init(count: bytes.count)
        bytes.withUnsafeBytes { base.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(base), byteCount: $0.count) }
    }

    deinit { base.deallocate() }

    var bytes: [UInt8] { bytes(count) }

    func bytes(_ count: Int) -> [UInt8] { Array(UnsafeRawBufferPointer(start: base, count: count)) }

    func transfer(
        _ descriptor: Int32, at offset: Int64 = 0, flags: TransferFlags = [], kind: Descriptor.Kind = .unknown
    ) -> Transfer {
        Transfer(Descriptor(descriptor, kind: kind), base, count: count, offset: offset, flags: flags)
    }
}

/// Several pieces of memory as iovecs.
final class Vectors: @unchecked Sendable {
    // @unchecked: as `Memory`.
    let parts: [Memory]
    let base: UnsafeMutablePointer<iovec>

    init(_ parts: [Memory]) {
        self.parts = parts
        base = .allocate(capacity: parts.count)
        for (index, part) in parts.enumerated() {
            (base + index).initialize(to: iovec(iov_base: part.base, iov_len: part.count))
        }
    }

    deinit { base.deallocate() }

    func transfer(_ descriptor: Int32, at offset: Int64 = 0, flags: TransferFlags = []) -> Transfer {
        Transfer(Descriptor(descriptor), base, count: parts.count, offset: offset, flags: flags)
    }
}

/// The arguments that an open in flight points at.
final class OpenArguments: @unchecked Sendable {
    // @unchecked: immutable once created.
    let path: UnsafeMutablePointer<CChar>
    private let how: UnsafeMutablePointer<ck_open_how>

    init(_ path: String, _ flags: UInt64 = CK_O_RDONLY, mode: UInt64 = 0) {
        self.path = strdup(path)
        how = .allocate(capacity: 1)
        how.initialize(to: ck_open_how(flags: flags | CK_O_CLOEXEC, mode: mode, resolve: 0))
    }

    deinit {
        free(path)
        how.deallocate()
    }

    var operation: Operation { .open(directory: CK_AT_FDCWD, path: UnsafePointer(path), how: UnsafePointer(how)) }
}
