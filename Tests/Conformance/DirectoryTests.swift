import AIO
import Glibc
import Testing
import UnitSupport

/// The entries of directories.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct DirectoryTests {
    private func collect(_ entries: Entries) async throws -> [DirectoryEntry] {
        var all: [DirectoryEntry] = []
        for try await entry in entries { all.append(entry) }
        return all
    }

    @Test(arguments: engines)
    func namesAreBytesAndTypesAreKnown(_ engine: EngineKind) async throws {
        try await withTreeScratch { scratch in
            let folder = try scratch.makeFolder("tree")
            _ = try scratch.makeFolder("tree/folder")
            _ = try scratch.file("tree/file")
            try #require(symlink("file", folder + "/link") == 0 && mkfifo(folder + "/fifo", 0o600) == 0)
            try await withRuntime(engine) { runtime in
                for name in unusualNames {
                    try await Paths.writeFile(Path(bytes: Array("\(folder)/".utf8) + name), [], runtime: runtime)
                }
                let entries = try await collect(Paths.entries(of: Path(folder), runtime: runtime))
                let types = Dictionary(uniqueKeysWithValues: entries.map { ($0.name.bytes, $0.type) })
                #expect(entries.count == unusualNames.count + 4)
                #expect(types[Array("folder".utf8)] == .directory && types[Array("file".utf8)] == .regular)
                #expect(types[Array("link".utf8)] == .symbolicLink && types[Array("fifo".utf8)] == .fifo)
                for name in unusualNames { #expect(types[name] == .regular) }
                #expect(entries.allSatisfy { $0.status == nil && $0.statusErrno == nil })
            }
        }
    }

    /// Few entries are one request; many are split among workers.
    @Test(arguments: engines, [3, 700])
    func theStatusComesWithTheEntry(_ engine: EngineKind, _ count: Int) async throws {
        try await withTreeScratch { scratch in
            for index in 0..<count {
                _ = try scratch.file("\(index)", [UInt8](repeating: 1, count: index))
            }
            try await withRuntime(engine) { runtime in
                let folder = Path(scratch.folder)
                let entries = try await collect(Paths.entries(of: folder, options: .status, runtime: runtime))
                #expect(entries.count == count)
                for entry in entries {
                    #expect(Int(String(decoding: entry.name.bytes, as: UTF8.self)) == entry.status.map { Int($0.size) })
                    #expect(entry.status?.inode == entry.inode)
                }
            }
        }
    }

    @Test(arguments: engines)
    func linksAreFollowedIfAskedFor(_ engine: EngineKind) async throws {
        try await withTreeScratch { scratch in
            _ = try scratch.file("file", [1, 2, 3])
            try #require(symlink("file", scratch.path("link")) == 0 && symlink("none", scratch.path("dangling")) == 0)
            try await withRuntime(engine) { runtime in
                let entries = try await collect(
                    Paths.entries(
                        of: Path(scratch.folder), options: [.status, .followLinks, .sorted], runtime: runtime))
                #expect(entries.map(\.name) == ["dangling", "file", "link"])
                #expect(entries.map(\.type) == [.symbolicLink, .regular, .regular])
                #expect(entries[2].status?.size == 3 && entries[2].status?.inode == entries[1].inode)
            }
        }
    }

    @Test(arguments: engines)
    func everyEntryOfALargeDirectoryComesOnce(_ engine: EngineKind) async throws {
        try await withTreeScratch { scratch in
            let names = (0..<5000).map { "\($0)-a name of some length, so that a batch holds only a part of them" }
            try scratch.file(named: names)
            try await withRuntime(engine) { runtime in
                let folder = Path(scratch.folder)
                let found = try await collect(Paths.entries(of: folder, runtime: runtime))
                #expect(found.map { String(decoding: $0.name.bytes, as: UTF8.self) }.sorted() == names.sorted())
                let sorted = try await collect(Paths.entries(of: folder, options: .sorted, runtime: runtime))
                #expect(sorted.map(\.name) == names.sorted().map { Path($0) })
            }
        }
    }

    @Test(arguments: engines)
    func errorsAreThrownOnceAndNameTheDirectory(_ engine: EngineKind) async throws {
        try await withTreeScratch { scratch in
            let file = Path(try scratch.file("file"))
            try await withRuntime(engine) { runtime in
                let error = await expectError(.notDirectory) {
                    try await collect(Paths.entries(of: file, runtime: runtime))
                }
                #expect(error?.path == file)
                let iterator = Paths.entries(of: Path(scratch.path("none")), runtime: runtime).makeAsyncIterator()
                await expectError(.notFound) { try await iterator.next() }
                let after = try await iterator.next()
                #expect(after == nil)
                let task = Task {
                    withUnsafeCurrentTask { $0?.cancel() }
                    return try await collect(Paths.entries(of: "/tmp", runtime: runtime)).count
                }
                await expectError(.cancelled) { try await task.value }
            }
        }
    }

    /// In an exit test, where nothing else opens descriptors.
    @Test(.notSimulated(.process), arguments: engines.map(\.description))
    func aLoopThatIsLeftClosesTheDirectory(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            let engine = try #require(engines.first { $0.description == name })
            try await withTreeScratch { scratch in
                try scratch.file(named: (0..<2000).map { "\($0)" })
                try await withRuntime(engine) { runtime in
                    let before = openDescriptors()
                    for try await _ in Paths.entries(of: Path(scratch.folder), options: .status, runtime: runtime) {
                        break
                    }
                    try await eventually { openDescriptors() == before }
                }
            }
        }
    }
}
