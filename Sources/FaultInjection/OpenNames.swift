internal import AIOCore
internal import CKernel

/// The paths of the descriptors that were opened past a plan. What is opened from such a directory, or duplicated from
/// such a descriptor, has a path as well. What has no path has the name of its kind, such as `socket`.
struct OpenNames {
    private var names: [(descriptor: Int32, path: [UInt8])] = []
    private let workingDirectory: [UInt8]

    init() { workingDirectory = Self.currentDirectory() }

    private static func currentDirectory() -> [UInt8] {
        let link: StaticString = "/proc/self/cwd"
        return [UInt8](unsafeUninitializedCapacity: 4096) { memory, count in
            let path = UnsafeRawPointer(link.utf8Start).assumingMemoryBound(to: CChar.self)
            count = max(0, Kernel.readlinkat(CK_AT_FDCWD, path, memory.baseAddress!, 4096))
        }
    }

    func path(of descriptor: Int32) -> [UInt8]? { names.first { $0.descriptor == descriptor }?.path }

    mutating func add(_ descriptor: Int32, _ path: [UInt8]?) {
        remove(descriptor)
        if let path { names.append((descriptor, path)) }
    }

    mutating func remove(_ descriptor: Int32) {
        if let index = names.firstIndex(where: { $0.descriptor == descriptor }) { names.remove(at: index) }
    }

    /// The absolute path that `path` leads to from `directory`, without regard to links and `..`. nil if where the
    /// directory is is not known.
    func absolute(_ path: [UInt8], from directory: Int32) -> [UInt8]? {
        if let number = Self.numberOfLink(path) { return self.path(of: number) }
        if path.first == UInt8(ascii: "/") { return Self.plain(path) }
        guard let start = directory == CK_AT_FDCWD ? workingDirectory : self.path(of: directory) else { return nil }
        return path.isEmpty ? start : Self.plain(start + [UInt8(ascii: "/")] + path)
    }

    /// An absolute path without empty components and dots, as in `/folder//./name`.
    private static func plain(_ path: [UInt8]) -> [UInt8] {
        let slash = UInt8(ascii: "/")
        var result: [UInt8] = []
        for component in path.split(separator: slash) where !component.elementsEqual([UInt8(ascii: ".")]) {
            result.append(slash)
            result += component
        }
        return result
    }

    /// The descriptor that a path of /proc such as /proc/self/fd/7 stands for.
    private static func numberOfLink(_ path: [UInt8]) -> Int32? {
        for prefix in ["/proc/thread-self/fd/", "/proc/self/fd/"] as [StaticString]
        where path.starts(with: bytes(of: prefix)) {
            var number: Int32 = 0
            for digit in path[prefix.utf8CodeUnitCount...] {
                guard digit >= UInt8(ascii: "0"), digit <= UInt8(ascii: "9"), number < 1 << 24 else { return nil }
                number = number * 10 + Int32(digit - UInt8(ascii: "0"))
            }
            return number
        }
        return nil
    }

    /// Whether a path is `folder` or below it.
    static func isPath(_ path: [UInt8], under folder: [UInt8]) -> Bool {
        path.starts(with: folder) && (path.count == folder.count || path[folder.count] == UInt8(ascii: "/"))
    }
}

/// Copies a C string that may be nowhere: callers of the kernel pass on what their callers gave them.
func text(at address: Int) -> [UInt8]? {
    guard address != 0 else { return nil }
    var found: [UInt8] = []
    while found.count < 4096 {
        let start = address &+ found.count
        // A piece crosses no page, since what follows may not be mapped.
        let piece = min(256, 4096 - start & 4095)
        var bytes = [UInt8](repeating: 0, count: piece)
        let copied = bytes.withUnsafeMutableBytes { copy(from: start, to: $0) }
        guard copied > 0 else { return nil }
        if let end = bytes[..<copied].firstIndex(of: 0) { return found + bytes[..<end] }
        found += bytes[..<copied]
    }
    return nil
}

/// process_vm_readv(2) of this process, past the door: the calls of a plan are none of the program's.
private func copy(from address: Int, to target: UnsafeMutableRawBufferPointer) -> Int {
    var local = iovec(iov_base: target.baseAddress, iov_len: target.count)
    var remote = iovec(iov_base: UnsafeMutableRawPointer(bitPattern: address), iov_len: target.count)
    let thread = SystemCall(CK_NR_gettid).executed()
    return withUnsafeMutablePointer(to: &local) { local in
        withUnsafeMutablePointer(to: &remote) { remote in
            let read = SystemCall(
                CK_NR_process_vm_readv, thread, Int(bitPattern: local), 1, Int(bitPattern: remote),
                1, 0)
            return read.executed()
        }
    }
}
