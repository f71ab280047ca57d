import AIO
import Glibc
import Testing

/// Replacement of a file: old or new, never anything between, and no temporary file.
enum ReplaceFaults {
    private static let old = [UInt8](repeating: 1, count: 3000)
    private static let new = [UInt8](repeating: 2, count: 9000)

    /// A file that the caller may not read keeps less.
    private static let unreadable = [EACCES]

    @Sendable private static func withOld(_ scratch: Scratch) throws {
        let path = try scratch.file("file", old)
        try #require(chmod(path, 0o640) == 0 && chown(path, 1234, 5678) == 0)
        try TreeSnapshot.setAttribute(path, [7])
    }

    @Sendable private static func withLink(_ scratch: Scratch) throws {
        try withOld(scratch)
        try #require(symlink("file", scratch.path("link")) == 0)
    }

    /// After an error that came with the sync of the folder, the content is new: the name was there already.
    @Sendable private static func verify(_ scratch: Scratch, _ error: IOError?) throws {
        let entry = try #require(try TreeSnapshot(scratch.folder)?.entries["/file"])
        #expect(entry.content == new || error != nil && entry.content == old, "neither old nor new")
        #expect(
            entry.mode == S_IFREG | 0o640 && entry.owner == 1234 && entry.attribute == [7],
            "\(entry.mode) \(entry.owner)")
        let others = try scratch.names().filter { $0 != "file" && $0 != "link" }
        #expect(others == [], "left behind")
    }

    static let all = [
        FaultScenario(
            name: "replace a file", prepare: withOld,
            body: { scratch, runtime in
                try await Paths.replaceFile(Path(scratch.path("file")), new, runtime: runtime)
            }, verify: verify, without: unreadable),
        FaultScenario(
            name: "replace a file by a body", prepare: withOld,
            body: { scratch, runtime in
                try await Paths.replaceFile(Path(scratch.path("file")), runtime: runtime) { file in
                    try await file.writeAll(new, at: 0)
                }
            }, verify: verify, without: unreadable),
        FaultScenario(
            name: "replace what a link leads to", prepare: withLink,
            body: { scratch, runtime in
                try await Paths.replaceFile(Path(scratch.path("link")), new, runtime: runtime)
            },
            verify: { scratch, error in
                try verify(scratch, error)
                let link = try #require(try TreeSnapshot(scratch.folder)?.entries["/link"])
                #expect(link.mode & S_IFMT == S_IFLNK, "the link itself was replaced")
            }, without: unreadable),
        FaultScenario(
            name: "create a file by replacing",
            body: { scratch, runtime in
                try await Paths.replaceFile(Path(scratch.path("file")), new, durability: .data, runtime: runtime)
            },
            verify: { scratch, error in
                let names = try scratch.names()
                #expect(names == ["file"] || error != nil && names == [])
                if names == ["file"] { try scratch.expect("file", new) }
            }),
    ]
}
