import AIO
import CSimulatedLibrary
import Glibc
import Testing
import UnitSupport

/// The library's type, not this target's `FileSystem`.
typealias Paths = AIO.FileSystem

extension Scratch {
    /// A path in the folder, with a name of any bytes.
    func path(bytes name: [UInt8]) -> Path { Path(bytes: Array("\(folder)/".utf8) + name) }

    /// Creates a folder without the library.
    func makeFolder(_ name: String) throws -> String {
        try #require(mkdir(path(name), 0o755) == 0, "mkdir \(name): errno \(errno)")
        return path(name)
    }

    /// Whether the name exists, without following links.
    func has(_ name: String) -> Bool {
        var status = Glibc.stat()
        return lstat(path(name), &status) == 0
    }
}

/// Names that are valid and that programs often mishandle.
let unusualNames: [[UInt8]] = [
    Array("two\nlines".utf8), [0xff, 0xfe, 0x80], Array(" ".utf8), Array("-rf".utf8), Array("a\tb\u{1b}[31m".utf8),
    [UInt8](repeating: 0xc3, count: 255),
]

/// Runs `body` with a folder that is removed with all its content, without the library.
func withTreeScratch<R>(on fileSystem: FileSystem = .machine, _ body: (Scratch) async throws -> R) async throws -> R {
    try await withScratch(on: fileSystem) { scratch in
        defer {
            if sl_is_simulated() {
                removeContent(of: Glibc.open(scratch.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC))
            } else {
                _ = runs(["find", forOthers(scratch.folder), "-mindepth", "1", "-delete"])
            }
        }
        return try await body(scratch)
    }
}

/// Removes a simulated file or folder, with all that is in it.
func removeTree(_ path: String) {
    guard unlink(path) != 0, errno == EISDIR else { return }
    removeContent(of: Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC))
    rmdir(path)
}

/// Removes what is in a simulated folder, which no program can reach. Closes the descriptor.
private func removeContent(of folder: Int32) {
    guard let entries = fdopendir(folder) else { return }
    defer { closedir(entries) }
    for name in rawEntryNames(entries) {
        guard unlinkat(folder, name, 0) != 0, errno == EISDIR else { continue }
        removeContent(of: openat(folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC))
        unlinkat(folder, name, AT_REMOVEDIR)
    }
}

/// A path that other processes can use: what is not attached to the tree is below /proc/self in this process.
func forOthers(_ path: String) -> String {
    let own = "/proc/self/"
    return path.hasPrefix(own) ? "/proc/\(getpid())/" + path.dropFirst(own.count) : path
}

/// Everything that a walk returns.
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

/// Makes the rest of this process run as the user nobody, to whom permissions apply. For exit tests.
func becomeNobody() throws {
    try #require(setegid(65534) == 0 && seteuid(65534) == 0, "errno \(errno)")
}

/// Nested folders, beyond the longest path if the file system itself has no limit. Returns the number of levels.
@discardableResult
func makeDeepTree(_ path: String, levels: Int) throws -> Int {
    var current = try openDescriptor(path, O_DIRECTORY)
    for level in 0..<levels {
        guard mkdirat(current, "a-folder-in-a-folder", 0o755) == 0 else {
            // GlusterFS returns ESTALE if the path on its server becomes too long.
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
