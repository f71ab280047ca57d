import AIOCore
import CKernel

@testable import AIOSimulation

/// A random sequence of file calls, below one directory. Two kernels that get the same calls from the same seed give
/// the same results, or one of them is wrong.
struct RandomFileCalls {
    let calls: FileCaller
    /// The directory that all paths are relative to.
    let directory: Int
    private var random: SimulatedRandom
    private var files = [Int](repeating: -1, count: 5)
    /// Whether this sequence allocates and punches, or asks for data and holes: what the page cache has of unwritten
    /// extents decides whether the kernel reports them as data.
    private let allocates: Bool
    private(set) var log: [String] = []
    /// An inotify descriptor with the directory and some of the files.
    private let changes: Int

    init(_ calls: FileCaller, in directory: Int, seed: UInt64) {
        self.calls = calls
        self.directory = directory
        random = SimulatedRandom(seed: seed)
        allocates = seed % 2 == 0
        changes = calls.call(CK_NR_inotify_init1, Int(CK_IN_NONBLOCK | CK_IN_CLOEXEC))
        watch(directory)
    }

    private func watch(_ descriptor: Int) {
        "/proc/self/fd/\(descriptor)".withCString {
            _ = calls.call(CK_NR_inotify_add_watch, changes, Int(bitPattern: $0), 0xfff)
        }
    }

    mutating func run(_ count: Int) {
        _ = calls.makeDirectory("d", in: directory)
        for _ in 0..<count {
            let line = step()
            log.append(line + events())
        }
        for file in files where file >= 0 { calls.close(file) }
        log.append("closed" + events())
        calls.close(changes)
    }

    /// What happened to the watched files; cookies are told apart from none.
    private func events() -> String {
        var text = ""
        while true {
            let (count, bytes) = calls.read(changes, 4096)
            guard count > 0 else { return text }
            bytes.withUnsafeBytes { bytes in
                var start = 0
                while start < count {
                    let event = bytes.loadUnaligned(fromByteOffset: start, as: ck_inotify_event.self)
                    let name = bytes[start + 16..<start + 16 + Int(event.length)].prefix { $0 != 0 }
                        // The name of a file without one is its inode's number.
                        .prefix { $0 != UInt8(ascii: "#") }
                    text += " [\(event.watch) \(String(event.mask, radix: 16)) \(event.cookie == 0 ? "" : "cookie ")"
                    text += "\(event.length) \(String(decoding: name, as: UTF8.self))]"
                    start += 16 + Int(event.length)
                }
            }
        }
    }

    // MARK: Choices

    private mutating func path() -> String {
        let names = ["a", "b", "c", "d"]
        let name = names[random.below(4)]
        switch random.below(16) {
        case 0, 1, 2: return "\(names[random.below(4)])/\(name)"
        case 3: return name + "/"
        case 4: return "./\(names[random.below(4)])/../\(name)"
        case 5: return "\(name)/."
        case 6: return "\(name)/.."
        case 7: return random.oneIn(8) ? "" : random.oneIn(8) ? String(repeating: "n", count: 256) : "."
        default: return name
        }
    }

    /// Mostly one that is open.
    private mutating func file() -> Int {
        let open = files.filter { $0 >= 0 }
        return open.isEmpty || random.oneIn(10) ? files[random.below(files.count)] : open[random.below(open.count)]
    }

    private mutating func offset() -> Int {
        switch random.below(6) {
        case 0: 0
        case 1: 4096 * random.below(5)
        case 2: 512 * random.below(32)
        default: random.below(20000)
        }
    }

    private mutating func bytes() -> [UInt8] {
        let count = [0, 1, 100, 512, 4096, 5000, 9000][random.below(7)]
        let first = UInt8(truncatingIfNeeded: random.next())
        return (0..<count).map { first &+ UInt8(truncatingIfNeeded: $0 / 7) }
    }

    // MARK: Calls

    private mutating func step() -> String {
        switch random.below(36) {
        case 0...5: return open()
        case 6: return closeFile()
        case 7...9: return write()
        case 10, 11: return read()
        case 12: return "truncate \(calls.call(CK_NR_ftruncate, file(), random.oneIn(20) ? -1 : offset()))"
        case 13, 14: return allocate()
        case 15: return seek()
        case 16: return copy()
        case 17, 18: return rename()
        case 19: return "mkdir \(calls.makeDirectory(path(), in: directory))"
        case 20, 21: return unlink()
        case 22: return link()
        case 23: return symbolicLink()
        case 24: return status()
        case 25: return list()
        case 26: return mode()
        case 27: return owner()
        case 28, 29: return attribute()
        case 30: return times()
        case 31: return node()
        case 32: return flags()
        case 33, 34: return accessList()
        default: return lock()
        }
    }

    private mutating func open() -> String {
        if random.oneIn(2) { return open(["a", "b", "c", "d/a"][random.below(4)], CK_O_RDWR | CK_O_CREAT, 0) }
        var flags = [CK_O_RDONLY, CK_O_RDWR, CK_O_RDWR, CK_O_WRONLY][random.below(4)]
        if random.oneIn(2) { flags |= CK_O_CREAT }
        if random.oneIn(6) { flags |= CK_O_EXCL & (flags & CK_O_CREAT == 0 ? 0 : .max) }
        if random.oneIn(4) { flags |= CK_O_TRUNC & (flags & CK_O_ACCMODE == 0 ? 0 : .max) }
        if random.oneIn(5) { flags |= CK_O_APPEND }
        if random.oneIn(8) { flags |= CK_O_DIRECTORY }
        if random.oneIn(8) { flags |= CK_O_NOFOLLOW }
        if random.oneIn(12) { flags |= CK_O_PATH }
        if random.oneIn(12) { flags = CK_O_TMPFILE | CK_O_DIRECTORY | CK_O_RDWR }
        let resolve =
            random.oneIn(5) ? [CK_RESOLVE_NO_SYMLINKS, CK_RESOLVE_BENEATH, CK_RESOLVE_IN_ROOT][random.below(3)] : 0
        return open(path(), flags, resolve)
    }

    private mutating func open(_ path: String, _ flags: UInt64, _ resolve: UInt64) -> String {
        // A FIFO is a matter of the streams.
        guard calls.status(path, 0, in: directory).status.mode & CK_S_IFMT != CK_S_IFIFO else { return "" }
        let opened = calls.open(path, flags, resolve: resolve, in: directory)
        guard opened >= 0 else { return "open \(path) \(String(flags, radix: 8)) \(resolve) \(opened)" }
        let place = random.below(files.count)
        if files[place] >= 0 { calls.close(files[place]) }
        files[place] = opened
        if random.oneIn(4) { watch(opened) }
        let status = calls.status("", CK_AT_EMPTY_PATH, in: opened).status
        return "open \(path) \(String(flags, radix: 8)) \(resolve) as \(place): mode \(status.mode) size \(status.size)"
    }

    private mutating func closeFile() -> String {
        let place = random.below(files.count)
        let result = calls.close(files[place])
        files[place] = -1
        return "close \(place) \(result)"
    }

    private mutating func write() -> String {
        let file = file()
        let bytes = bytes()
        let offset = random.oneIn(3) ? -1 : offset()
        let flag =
            random.oneIn(4)
            ? [CK_RWF_APPEND, CK_RWF_NOAPPEND, CK_RWF_ATOMIC, CK_RWF_NOWAIT, 0x4000_0000][random.below(5)] : 0
        return "write \(bytes.count) at \(offset) flags \(flag): \(calls.write(file, bytes, at: offset, flags: flag))"
    }

    private mutating func read() -> String {
        let flag = random.oneIn(8) ? [CK_RWF_APPEND, CK_RWF_ATOMIC, 0x4000_0000][random.below(3)] : 0
        let file = file()
        let (result, bytes) = calls.read(
            file, [0, 1, 3000, 30000][random.below(4)], at: random.oneIn(3) ? -1 : offset(), flags: flag)
        return "read flags \(flag): \(result) hash \(bytes.reduce(0) { $0 &* 31 &+ Int($1) })"
    }

    private mutating func allocate() -> String {
        guard allocates else { return "" }
        let modes: [Int32] = [0, CK_FALLOC_FL_KEEP_SIZE, 3, 3, 0x10, 0x11, 0x08, 0x20, 2, 9, 0x18]
        let mode = modes[random.below(modes.count)]
        let file = file()
        let offset = offset()
        let count = random.oneIn(2) ? 4096 * (1 + random.below(3)) : random.below(9000)
        let result = calls.call(CK_NR_fallocate, file, Int(mode), offset, count)
        return "allocate mode \(mode) \(offset)+\(count): \(result)"
    }

    private mutating func seek() -> String {
        let from = random.below(allocates ? 3 : 6)
        let file = file()
        let offset = random.oneIn(8) ? -100 : offset()
        // The positions in a directory are the file system's own.
        guard calls.status("", CK_AT_EMPTY_PATH, in: file).status.mode & CK_S_IFMT != CK_S_IFDIR else { return "" }
        return "seek \(offset) from \(from): \(calls.call(CK_NR_lseek, file, offset, from))"
    }

    private mutating func copy() -> String {
        var (from, to) = (Int64(offset()), Int64(offset()))
        let (source, target) = (file(), file())
        let count = [0, 10, 5000, 30000][random.below(4)]
        let result = withUnsafeMutablePointer(to: &from) { from in
            withUnsafeMutablePointer(to: &to) { to in
                calls.call(
                    CK_NR_copy_file_range, source, Int(bitPattern: from), target, Int(bitPattern: to), count, 0)
            }
        }
        return "copy \(count): \(result), \(from) \(to)"
    }

    private mutating func rename() -> String {
        let (one, other) = (path(), path())
        let flags = random.oneIn(3) ? UInt32(random.below(5)) : 0
        guard flags & 4 == 0 else { return "" }
        return "rename \(one) \(other) \(flags): \(calls.rename(one, other, flags, in: directory))"
    }

    private mutating func unlink() -> String {
        let (path, flags) = (path(), random.oneIn(2) ? Int(CK_AT_REMOVEDIR) : 0)
        return "unlink \(path) \(flags): \(calls.unlink(path, flags, in: directory))"
    }

    private mutating func link() -> String {
        let path = path()
        if random.oneIn(3) {
            let file = file()
            let result = "".withCString { empty in
                path.withCString {
                    calls.call(
                        CK_NR_linkat, file, Int(bitPattern: empty), directory, Int(bitPattern: $0),
                        Int(CK_AT_EMPTY_PATH))
                }
            }
            return "link descriptor \(path): \(result)"
        }
        let old = self.path()
        let flags = random.oneIn(2) ? Int(CK_AT_SYMLINK_FOLLOW) : 0
        return "link \(old) \(path) \(flags): \(calls.at(CK_NR_linkat, old, to: path, flags, in: directory))"
    }

    private mutating func symbolicLink() -> String {
        let (target, path) = (path(), path())
        return "symlink \(target) \(path): \(calls.symbolicLink(target, path, in: directory))"
    }

    private mutating func status() -> String {
        let path = path()
        let (result, status) = calls.status(path, random.oneIn(2) ? 0 : CK_AT_SYMLINK_NOFOLLOW, in: directory)
        let link = calls.readLink(path, in: directory)
        guard result >= 0 else { return "status \(path) \(result) \(link)" }
        return "status \(path) \(Self.text(status)) \(link)"
    }

    private mutating func list() -> String {
        let path = path()
        let folder = calls.open(path, CK_O_RDONLY | CK_O_DIRECTORY, in: directory)
        guard folder >= 0 else { return "list \(path) \(folder)" }
        defer { calls.close(folder) }
        return "list \(path) \(calls.names(folder, bufferSize: 64))"
    }

    private mutating func mode() -> String {
        if random.oneIn(2) { return "fchmod \(calls.call(CK_NR_fchmod, file(), random.below(0o10000)))" }
        let path = path()
        let flags = random.oneIn(2) ? Int(CK_AT_SYMLINK_NOFOLLOW) : 0
        return "chmod \(path) \(calls.at(CK_NR_fchmodat2, path, random.below(0o10000), flags, in: directory))"
    }

    private mutating func owner() -> String {
        let user = random.oneIn(2) ? -1 : random.below(3)
        let group = random.oneIn(2) ? -1 : random.below(3)
        if random.oneIn(2) { return "fchown \(calls.call(CK_NR_fchown, file(), user, group))" }
        let path = path()
        return
            "chown \(path) \(calls.at(CK_NR_fchownat, path, user, group, Int(CK_AT_SYMLINK_NOFOLLOW), in: directory))"
    }

    private mutating func attribute() -> String {
        let names = ["user.a", "user.b", "trusted.x", "user.", "none.x", "system.posix_acl_access", ""]
        let name = names[random.below(random.oneIn(3) ? names.count : 3)]
        let file = file()
        let value = [UInt8](repeating: 7, count: [0, 5, 100, 70000, 5000][random.below(random.oneIn(4) ? 5 : 3)])
        var buffer = [UInt8](repeating: 0, count: 200)
        let what = random.below(4)
        let flags = random.below(4)
        let result = name.withCString { name in
            buffer.withUnsafeMutableBytes { buffer in
                value.withUnsafeBytes { value in
                    let (name, memory) = (Int(bitPattern: name), Int(bitPattern: buffer.baseAddress))
                    switch what {
                    case 0: return calls.call(CK_NR_fgetxattr, file, name, memory, [0, 4, 200][flags % 3])
                    case 1: return calls.call(CK_NR_flistxattr, file, memory, [0, 4, 200][flags % 3])
                    case 2: return calls.call(CK_NR_fremovexattr, file, name)
                    default:
                        return calls.call(
                            CK_NR_fsetxattr, file, name, Int(bitPattern: value.baseAddress), value.count, flags)
                    }
                }
            }
        }
        return "attribute \(name) \(what) \(value.count) \(flags): \(result)"
    }

    /// An access control list, mostly valid. That of a directory is inherited by what is made in it.
    private mutating func accessList() -> String {
        let isDefault = random.oneIn(3)
        let file = isDefault && random.oneIn(2) ? directory : file()
        let name = isDefault ? "system.posix_acl_default" : "system.posix_acl_access"
        var tags: [UInt8] = [0x01, 0x04, 0x20]
        if random.oneIn(2) { tags = [0x01, 0x02, 0x04, 0x08, 0x10, 0x20] }
        if random.oneIn(4) { tags.remove(at: random.below(tags.count)) }
        if random.oneIn(8) { tags.swapAt(0, random.below(tags.count)) }
        var list: [UInt8] = [2, 0, 0, 0]
        for tag in tags {
            let hasName = tag == 0x02 || tag == 0x08
            list += [tag, 0, UInt8(random.below(random.oneIn(20) ? 16 : 8)), 0]
            list += hasName ? [UInt8(random.below(3)), 0, 0, 0] : [255, 255, 255, 255]
        }
        if random.oneIn(12) { list = Array(list.prefix(random.below(list.count))) }
        var found = [UInt8](repeating: 0, count: 100)
        let (set, count) = name.withCString { name in
            list.withUnsafeBytes { list in
                let set = calls.call(
                    CK_NR_fsetxattr, file, Int(bitPattern: name), Int(bitPattern: list.baseAddress), list.count, 0)
                let count = found.withUnsafeMutableBytes { found in
                    calls.call(
                        CK_NR_fgetxattr, file, Int(bitPattern: name), Int(bitPattern: found.baseAddress), found.count)
                }
                return (set, count)
            }
        }
        let mode = calls.status("", CK_AT_EMPTY_PATH, in: file).status.mode
        return "\(name) \(list): \(set), \(count) \(found.prefix(max(0, count))), mode \(String(mode, radix: 8))"
    }

    private mutating func times() -> String {
        let path = path()
        var times = (ck_timespec(seconds: 1000, nanoseconds: 5), ck_timespec(seconds: 2000, nanoseconds: CK_UTIME_OMIT))
        if random.oneIn(4) { times.0.nanoseconds = 2_000_000_000 }
        let result = withUnsafePointer(to: &times) {
            calls.at(CK_NR_utimensat, path, Int(bitPattern: $0), Int(CK_AT_SYMLINK_NOFOLLOW), in: directory)
        }
        let accessed = calls.status(path, in: directory).status.access_time
        return "times \(path) \(result) \(result == 0 ? accessed.seconds : 0)"
    }

    private mutating func node() -> String {
        let type = [CK_S_IFIFO, CK_S_IFREG, CK_S_IFSOCK, 0, CK_S_IFDIR, 0o150000][random.below(6)]
        let path = path()
        return "mknod \(path) \(type) \(calls.at(CK_NR_mknodat, path, Int(type) | 0o600, in: directory))"
    }

    private mutating func flags() -> String {
        let file = file()
        if random.oneIn(2) {
            return "setfl \(calls.call(CK_NR_fcntl, file, Int(CK_F_SETFL), random.oneIn(2) ? 0o2000 : 0o4000))"
        }
        return "getfl \(calls.call(CK_NR_fcntl, file, Int(CK_F_GETFL)))"
    }

    private mutating func lock() -> String {
        var range = ck_flock()
        range.type = Int16(random.below(4))
        range.whence = Int16(random.below(4))
        range.start = Int64(random.below(10)) - 1
        range.length = Int64(random.below(8)) - 2
        let command = [CK_F_OFD_SETLK, CK_F_OFD_SETLK, CK_F_OFD_GETLK][random.below(3)]
        let file = file()
        let result = withUnsafeMutablePointer(to: &range) {
            calls.call(CK_NR_fcntl, file, Int(command), Int(bitPattern: $0))
        }
        return "lock \(command) \(result) \(range.type) \(range.start) \(range.length)"
    }

    // MARK: Trees

    private static func text(_ status: ck_statx) -> String {
        let size = status.mode & CK_S_IFMT == CK_S_IFDIR ? 0 : status.size
        let owner = "\(status.user) \(status.group)"
        return "mode \(String(status.mode, radix: 8)) links \(status.link_count) size \(size) owner \(owner)"
    }

    /// All files below a directory, with their status and content.
    static func tree(_ calls: FileCaller, _ directory: Int, _ prefix: String = "") -> [String] {
        var lines: [String] = []
        let folder = calls.open(".", CK_O_RDONLY | CK_O_DIRECTORY, in: directory)
        defer { calls.close(folder) }
        for name in calls.names(folder).names {
            let status = calls.status(name, in: directory).status
            lines.append("\(prefix)\(name) \(text(status)) \(calls.readLink(name, in: directory).target)")
            switch status.mode & CK_S_IFMT {
            case CK_S_IFDIR:
                let child = calls.open(name, CK_O_RDONLY | CK_O_DIRECTORY, in: directory)
                lines += tree(calls, child, "\(prefix)\(name)/")
                calls.close(child)
            case CK_S_IFREG:
                let content = calls.content(name, in: directory) ?? []
                lines[lines.count - 1] += " hash \(content.reduce(0) { $0 &* 31 &+ Int($1) })"
            default: break
            }
        }
        return lines
    }

    /// Removes everything below a directory.
    static func clear(_ calls: FileCaller, _ directory: Int) {
        let folder = calls.open(".", CK_O_RDONLY | CK_O_DIRECTORY, in: directory)
        defer { calls.close(folder) }
        for name in calls.names(folder).names {
            let child = calls.open(name, CK_O_RDONLY | CK_O_DIRECTORY | CK_O_NOFOLLOW, in: directory)
            if child >= 0 {
                clear(calls, child)
                calls.close(child)
            }
            _ = calls.unlink(name, child >= 0 ? Int(CK_AT_REMOVEDIR) : 0, in: directory)
        }
    }
}
