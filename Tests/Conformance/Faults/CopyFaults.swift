import AIO
import Glibc
import Testing
import UnitSupport

/// Copies: no file under its final name is partial, nothing is missing without an error, and no temporary name is left.
enum CopyFaults {
    private static let content = FileFaults.content

    /// A file, a large one, one with a hole, links, a FIFO, folders, and attributes.
    @Sendable private static func tree(_ scratch: Scratch) throws {
        _ = try scratch.makeFolder("from")
        _ = try scratch.makeFolder("from/folder")
        _ = try scratch.file("from/a", content)
        _ = try scratch.file("from/folder/b", [1, 2, 3])
        try #require(link(scratch.path("from/a"), scratch.path("from/folder/hard")) == 0)
        try #require(symlink("a", scratch.path("from/soft")) == 0)
        try #require(mkfifo(scratch.path("from/fifo"), 0o640) == 0)
        try sparse("from/sparse", scratch)
        try TreeSnapshot.setAttribute(scratch.path("from/a"), [1, 2])
        try TreeSnapshot.setAttribute(scratch.path("from/folder"), [3])
        for name in ["from/folder/b", "from/a", "from/sparse", "from/fifo", "from/soft", "from/folder", "from"] {
            try age(scratch.path(name))
        }
    }

    private static func sparse(_ name: String, _ scratch: Scratch) throws {
        let file = try openDescriptor(try scratch.file(name), O_RDWR)
        defer { closeDescriptor(file) }
        try #require(ftruncate(file, 300_000) == 0 && pwrite(file, content, content.count, 131_072) == content.count)
    }

    private static func age(_ path: String) throws {
        let times = [timespec(tv_sec: 1_000_000, tv_nsec: 0), timespec(tv_sec: 2_000_000, tv_nsec: 0)]
        try #require(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW) == 0)
    }

    /// Copies the tree; throws the first of its failures, once it is clear that nothing else is missing.
    private static func copyTree(
        _ scratch: Scratch, _ runtime: IORuntime, _ configure: (inout CopyOptions) -> Void = { _ in }
    ) async throws {
        var options = CopyOptions()
        configure(&options)
        var failures: [IOError] = []
        let summary = try await Paths.copy(
            Path(scratch.path("from")), to: Path(scratch.path("to")), options: options, runtime: runtime
        ) { failures.append($0) }
        #expect(summary.failures == failures.count)
        let source = try #require(try TreeSnapshot(scratch.path("from")))
        let target = try TreeSnapshot(scratch.path("to"))
        let failed = failures.map { failure in
            let path = failure.path?.description ?? ""
            let root = [scratch.path("from"), scratch.path("to")].first { path.hasPrefix($0) }
            return String(path.dropFirst(root?.count ?? 0))
        }
        for (name, entry) in source.entries {
            // Where a folder failed, what is in it may be missing.
            if failed.contains(where: { name == $0 || name.hasPrefix($0 + "/") || $0.isEmpty }) { continue }
            let copy = target?.entries[name]
            #expect(copy?.isCopy(of: entry) == true, "\(name) is \(copy == nil ? "missing" : "another"), \(failures)")
        }
        if let first = failures.first { throw first }
        #expect(summary.files == 6 && summary.directories == 2)
    }

    /// Whatever happened, there is no part of a file and no temporary name.
    @Sendable private static func verifyTree(_ scratch: Scratch, _ error: IOError?) throws {
        guard let source = try TreeSnapshot(scratch.path("from")), let target = try TreeSnapshot(scratch.path("to"))
        else {
            #expect(error != nil)
            return
        }
        for (name, entry) in target.entries {
            let original = source.entries[name]
            #expect(original != nil, "\(name) is left")
            guard entry.mode & S_IFMT == S_IFREG, let original else { continue }
            let isWhole = areSame(entry.content, original.content)
            #expect(isWhole, "\(name) is partial")
        }
    }

    private static func file(_ size: Int) -> @Sendable (Scratch) throws -> Void {
        let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
        return { scratch in
            try age(try scratch.file("from", bytes))
            _ = try scratch.file("to", [9])
        }
    }

    private static func copyFile(_ configure: @escaping @Sendable (inout CopyOptions) -> Void)
        -> @Sendable (Scratch, IORuntime) async throws -> Void
    {
        { scratch, runtime in
            var options = CopyOptions()
            configure(&options)
            let (from, to) = (Path(scratch.path("from")), Path(scratch.path("to")))
            try await Paths.copy(from, to: to, options: options, runtime: runtime)
        }
    }

    @Sendable private static func verifyFile(_ scratch: Scratch, _ error: IOError?) throws {
        let found = try scratch.content("to")
        let isNew = areSame(found, try scratch.content("from"))
        #expect(isNew || error != nil && found.count == 1 && found[0] == 9, "neither old nor new")
        let names = try scratch.names()
        #expect(names == ["from", "to"])
    }

    /// An attribute that the target's file system does not take is skipped, as `cp -a` does.
    private static let skipped: [String: [Int32]] = [
        "fsetxattr": [EOPNOTSUPP, ENOSPC], "lsetxattr": [EOPNOTSUPP, ENOSPC],
    ]

    static let all = [
        FaultScenario(
            name: "copy a tree", prepare: tree, body: { try await copyTree($0, $1) { $0.sync = true } },
            verify: verifyTree, withoutOf: skipped),
        FaultScenario(
            name: "copy a tree by reading and writing", prepare: tree,
            body: { try await copyTree($0, $1) { ($0.sharesBlocks, $0.depth) = (false, 1) } }, verify: verifyTree,
            withoutOf: skipped),
        FaultScenario(
            name: "copy a file", prepare: file(20_000), body: copyFile { $0.sync = true }, verify: verifyFile),
        FaultScenario(
            name: "copy a large file", prepare: file(4_200_000), body: copyFile { $0.sharesBlocks = false },
            verify: verifyFile),
        FaultScenario(
            name: "copy a file onto itself",
            prepare: { scratch in
                _ = try scratch.file("from", [1, 2, 3])
                try #require(link(scratch.path("from"), scratch.path("to")) == 0)
            },
            body: { scratch, runtime in
                let (from, to) = (Path(scratch.path("from")), Path(scratch.path("to")))
                do throws(IOError) {
                    try await Paths.copy(from, to: to, runtime: runtime)
                    Issue.record("a file was copied onto itself")
                } catch {
                    // This is what comes without a fault.
                    if error.code != .invalidArgument { throw error }
                }
            },
            verify: { scratch, _ in
                let entries = try #require(try TreeSnapshot(scratch.folder)).entries
                #expect(entries["/from"]?.inode == entries["/to"]?.inode && entries.count == 3, "the link was replaced")
            }),
    ]
}
