import AIO
import Glibc
import Testing
import UnitSupport

/// A folder of one test, removed afterwards.
struct Scratch: Sendable {
    let folder: String

    func path(_ name: String) -> String { "\(folder)/\(name)" }

    /// Creates a file with this content, without the library.
    func file(_ name: String, _ content: [UInt8] = []) throws -> String {
        let path = path(name)
        let descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        try #require(descriptor >= 0)
        defer { closeDescriptor(descriptor) }
        var done = 0
        while done < content.count {
            let written = content.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress! + done, content.count - done)
            }
            try #require(written > 0)
            done += written
        }
        return path
    }

    /// Creates an empty file with all these names as hard links. After many removals ext4 searches long for each new
    /// file's inode, but a link needs none.
    func file(named names: [String]) throws {
        guard let first = names.first else { return }
        let path = try file(first)
        for name in names.dropFirst() { try #require(link(path, self.path(name)) == 0) }
    }

    /// A file's content, read without the library.
    func content(_ name: String) throws -> [UInt8] {
        let descriptor = Glibc.open(path(name), O_RDONLY | O_CLOEXEC)
        try #require(descriptor >= 0)
        defer { closeDescriptor(descriptor) }
        return readToEnd(descriptor)
    }
}

/// Where tests create files, unless they ask for a kind of file system: AIO_TEST_DIRECTORY, or /tmp.
let testDirectory = getenv("AIO_TEST_DIRECTORY").map { String(cString: $0) } ?? "/tmp"

/// Runs `body` with a new folder in `parent`.
func withScratch<R>(in parent: String = testDirectory, _ body: (Scratch) async throws -> R) async throws -> R {
    let folder = try #require(newDirectory(in: parent), "no folder in \(parent)")
    defer { removeFolder(folder) }
    return try await body(Scratch(folder: folder))
}

private func removeFolder(_ folder: String) {
    for name in entryNames(in: folder) ?? [] { unlink("\(folder)/\(name)") }
    #expect(rmdir(folder) == 0, "\(folder) is left behind")
}

/// Opens without the library; the caller closes the descriptor.
func openDescriptor(_ path: String, _ flags: Int32 = O_RDONLY) throws -> Int32 {
    let descriptor = Glibc.open(path, flags | O_CLOEXEC, 0o644)
    try #require(descriptor >= 0, "open \(path): errno \(errno)")
    return descriptor
}

func closeDescriptor(_ descriptor: Int32) { _ = Glibc.close(descriptor) }

func isOpen(_ descriptor: Int32) -> Bool { fcntl(descriptor, F_GETFD) >= 0 }

func readToEnd(_ descriptor: Int32) -> [UInt8] {
    var content: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = Glibc.read(descriptor, &chunk, chunk.count)
        guard count > 0 else { return content }
        content += chunk[..<count]
    }
}
