import AIOCore
import CKernel

@testable import AIOSimulation

/// Makes file calls, of a simulated kernel or of the real one.
struct FileCaller {
    let answer: (SystemCall) -> Int

    /// The kernel below.
    static var real: FileCaller { FileCaller { $0.executed() } }

    init(answer: @escaping (SystemCall) -> Int) { self.answer = answer }

    init(_ kernel: SimulatedKernel) { answer = { kernel.answer($0) } }

    func call(_ number: Int, _ a: Int = 0, _ b: Int = 0, _ c: Int = 0, _ d: Int = 0, _ e: Int = 0, _ f: Int = 0) -> Int
    {
        answer(SystemCall(number, a, b, c, d, e, f))
    }

    static let workingDirectory = Int(CK_AT_FDCWD)

    func open(
        _ path: String, _ flags: UInt64 = CK_O_RDWR, mode: UInt64 = 0o644, resolve: UInt64 = 0,
        in directory: Int = workingDirectory
    ) -> Int {
        let creates = flags & (CK_O_CREAT | CK_O_TMPFILE) != 0
        var how = ck_open_how(flags: flags | CK_O_CLOEXEC, mode: creates ? mode : 0, resolve: resolve)
        return path.withCString { path in
            withUnsafeMutablePointer(to: &how) {
                call(
                    CK_NR_openat2, directory, Int(bitPattern: path), Int(bitPattern: $0), MemoryLayout<ck_open_how>.size
                )
            }
        }
    }

    /// A call with one path, the argument after the directory.
    func at(
        _ number: Int, _ path: String, _ c: Int = 0, _ d: Int = 0, _ e: Int = 0, in directory: Int = workingDirectory
    ) -> Int {
        path.withCString { call(number, directory, Int(bitPattern: $0), c, d, e) }
    }

    /// renameat2(2) and linkat(2).
    func at(_ number: Int, _ path: String, to newPath: String, _ flags: Int = 0, in directory: Int = workingDirectory)
        -> Int
    {
        path.withCString { path in
            newPath.withCString {
                call(number, directory, Int(bitPattern: path), directory, Int(bitPattern: $0), flags)
            }
        }
    }

    func makeDirectory(_ path: String, in directory: Int = workingDirectory) -> Int {
        at(CK_NR_mkdirat, path, 0o755, in: directory)
    }

    func unlink(_ path: String, _ flags: Int = 0, in directory: Int = workingDirectory) -> Int {
        at(CK_NR_unlinkat, path, flags, in: directory)
    }

    func rename(_ path: String, _ newPath: String, _ flags: UInt32 = 0, in directory: Int = workingDirectory) -> Int {
        at(CK_NR_renameat2, path, to: newPath, Int(flags), in: directory)
    }

    func symbolicLink(_ target: String, _ path: String, in directory: Int = workingDirectory) -> Int {
        target.withCString { target in
            path.withCString { call(CK_NR_symlinkat, Int(bitPattern: target), directory, Int(bitPattern: $0)) }
        }
    }

    func readLink(_ path: String, in directory: Int = workingDirectory) -> (result: Int, target: String) {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let result = buffer.withUnsafeMutableBytes { buffer in
            at(CK_NR_readlinkat, path, Int(bitPattern: buffer.baseAddress), buffer.count, in: directory)
        }
        return (result, String(decoding: buffer[..<max(0, result)], as: UTF8.self))
    }

    func status(_ path: String, _ flags: Int32 = CK_AT_SYMLINK_NOFOLLOW, in directory: Int = workingDirectory) -> (
        result: Int, status: ck_statx
    ) {
        var status = ck_statx()
        let result = withUnsafeMutablePointer(to: &status) {
            at(CK_NR_statx, path, Int(flags), Int(CK_STATX_BASIC_STATS), Int(bitPattern: $0), in: directory)
        }
        return (result, status)
    }

    // MARK: Open files

    @discardableResult
    func close(_ descriptor: Int) -> Int { call(CK_NR_close, descriptor) }

    func write(_ descriptor: Int, _ bytes: [UInt8], at offset: Int = -1, flags: UInt32 = 0) -> Int {
        bytes.withUnsafeBytes { bytes in
            var vector = iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
            return withUnsafePointer(to: &vector) {
                call(CK_NR_pwritev2, descriptor, Int(bitPattern: $0), 1, offset, 0, Int(flags))
            }
        }
    }

    func read(_ descriptor: Int, _ count: Int, at offset: Int = -1, flags: UInt32 = 0) -> (result: Int, bytes: [UInt8])
    {
        var bytes = [UInt8](repeating: 0, count: count)
        let result = bytes.withUnsafeMutableBytes { bytes in
            var vector = iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
            return withUnsafePointer(to: &vector) {
                call(CK_NR_preadv2, descriptor, Int(bitPattern: $0), 1, offset, 0, Int(flags))
            }
        }
        return (result, Array(bytes[..<max(0, result)]))
    }

    /// The whole content of a file, or the negative errno of its open.
    func content(_ path: String, in directory: Int = workingDirectory) -> [UInt8]? {
        let file = open(path, CK_O_RDONLY, in: directory)
        guard file >= 0 else { return nil }
        defer { close(file) }
        let size = status("", CK_AT_EMPTY_PATH, in: file).status.size
        return read(file, Int(size) + 1, at: 0).bytes
    }

    /// Writes a file, which is created or replaced.
    func put(_ path: String, _ bytes: [UInt8], sync: Bool = false, in directory: Int = workingDirectory) {
        let file = open(path, CK_O_RDWR | CK_O_CREAT | CK_O_TRUNC, in: directory)
        precondition(file >= 0 && write(file, bytes, at: 0) == bytes.count)
        if sync { precondition(call(CK_NR_fsync, file) == 0) }
        close(file)
    }

    func sync(_ path: String) -> Int {
        let file = open(path, CK_O_RDONLY)
        guard file >= 0 else { return file }
        defer { close(file) }
        return call(CK_NR_fsync, file)
    }

    /// The names in a directory, sorted, without "." and "..".
    func names(_ descriptor: Int, bufferSize: Int = 512) -> (result: Int, names: [String]) {
        var names: [String] = []
        var buffer = [UInt64](repeating: 0, count: bufferSize / 8)
        while true {
            let filled = buffer.withUnsafeMutableBytes { buffer in
                call(CK_NR_getdents64, descriptor, Int(bitPattern: buffer.baseAddress), buffer.count)
            }
            guard filled > 0 else { return (filled, names.filter { $0 != "." && $0 != ".." }.sorted()) }
            buffer.withUnsafeBytes { buffer in
                var start = 0
                while start < filled {
                    let size = Int(buffer.loadUnaligned(fromByteOffset: start + 16, as: UInt16.self))
                    let name = buffer[start + 19..<start + size].prefix { $0 != 0 }
                    names.append(String(decoding: name, as: UTF8.self))
                    start += size
                }
            }
        }
    }
}

extension SimulatedKernel {
    /// A kernel of its own world, and its caller.
    static func fresh(seed: UInt64 = 1) -> (kernel: SimulatedKernel, calls: FileCaller) {
        let kernel = SimulatedKernel(host: "host", in: World(seed: seed))
        return (kernel, FileCaller(kernel))
    }
}
