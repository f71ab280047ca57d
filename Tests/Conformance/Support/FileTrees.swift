import AIO
import Glibc
import Testing

/// The library's, not the kind of file system that this target has under the same name.
typealias Paths = AIO.FileSystem

extension Scratch {
    /// A name in the folder, of any bytes.
    func path(bytes name: [UInt8]) -> Path { Path(bytes: Array("\(folder)/".utf8) + name) }

    /// Makes a folder, past the library.
    func makeFolder(_ name: String) throws -> String {
        try #require(mkdir(path(name), 0o755) == 0, "mkdir \(name): errno \(errno)")
        return path(name)
    }

    /// Whether something has the name, itself and not what it leads to.
    func has(_ name: String) -> Bool {
        var status = Glibc.stat()
        return lstat(path(name), &status) == 0
    }
}

/// Names that are allowed, and that programs forget.
let unusualNames: [[UInt8]] = [
    Array("two\nlines".utf8), [0xff, 0xfe, 0x80], Array(" ".utf8), Array("-rf".utf8), Array("a\tb\u{1b}[31m".utf8),
    [UInt8](repeating: 0xc3, count: 255),
]

/// Runs `body` with a folder in which whole trees may be left: they are removed with it, past the library.
func withTreeScratch<R>(on fileSystem: FileSystem = .machine, _ body: (Scratch) async throws -> R) async throws -> R {
    try await withScratch(on: fileSystem) { scratch in
        defer { _ = runs(["find", forOthers(scratch.folder), "-mindepth", "1", "-delete"]) }
        return try await body(scratch)
    }
}

/// A path as other processes have to say it: what is mounted nowhere is below /proc/self here.
func forOthers(_ path: String) -> String {
    let own = "/proc/self/"
    return path.hasPrefix(own) ? "/proc/\(getpid())/" + path.dropFirst(own.count) : path
}

/// Everything that a walk delivers.
func items(of walk: Walk) async throws -> (entries: [WalkEntry], failures: [IOError]) {
    var (entries, failures): ([WalkEntry], [IOError]) = ([], [])
    for try await item in walk {
        switch item {
        case .entry(let entry): entries.append(entry)
        case .failure(let error): failures.append(error)
        }
    }
    return (entries, failures)
}

/// The rest of this process is nobody in particular, for whom permissions hold. In a process of the test's own.
func becomeNobody() throws {
    try #require(setegid(65534) == 0 && seteuid(65534) == 0, "errno \(errno)")
}

/// One in the other, past the longest path where the file system has no limit of its own. Returns how many.
@discardableResult
func makeDeepTree(_ path: String, levels: Int) throws -> Int {
    var current = try openDescriptor(path, O_DIRECTORY)
    for level in 0..<levels {
        guard mkdirat(current, "a-folder-in-a-folder", 0o755) == 0 else {
            // GlusterFS says ESTALE where its server's own path gets too long.
            try #require(errno == ENAMETOOLONG || errno == ESTALE, "level \(level): errno \(errno)")
            closeDescriptor(current)
            return level
        }
        let next = openat(current, "a-folder-in-a-folder", O_DIRECTORY | O_CLOEXEC)
        closeDescriptor(current)
        try #require(next >= 0)
        current = next
    }
    closeDescriptor(current)
    return levels
}
