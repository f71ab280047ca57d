import AIO
import CKernel
import Glibc
import Testing
import UnitSupport

/// Walks of trees.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct WalkTests {
    @Test(arguments: engines, [0, 8])
    func aDirectoryComesBeforeWhatIsInIt(_ engine: EngineKind, _ readahead: Int) async throws {
        try await withTreeScratch { scratch in
            var expected: Set<Path> = [Path(scratch.folder)]
            for outer in 0..<5 {
                expected.insert(Path(try scratch.makeFolder("\(outer)")))
                for inner in 0..<20 {
                    expected.insert(Path(try scratch.makeFolder("\(outer)/\(inner)")))
                    for file in 0..<3 { expected.insert(Path(try scratch.file("\(outer)/\(inner)/\(file)"))) }
                }
            }
            try await withRuntime(engine) { runtime in
                var options = WalkOptions()
                options.readahead = readahead
                let (entries, failures) = try await items(
                    of: Paths.walk(Path(scratch.folder), options: options, runtime: runtime))
                #expect(failures.isEmpty && entries.count == expected.count)
                #expect(Set(entries.map(\.path)) == expected)
                var above: [Path] = []
                for entry in entries {
                    // The entries of a directory come before the directory's next sibling.
                    above = Array(above.prefix(entry.depth))
                    #expect(above.count == entry.depth)
                    if let folder = above.last { #expect(entry.path.bytes.starts(with: folder.bytes + [0x2f])) }
                    above.append(entry.path)
                }
            }
        }
    }

    @Test(arguments: engines)
    func namesInOrderGiveADefinedOrder(_ engine: EngineKind) async throws {
        try await withTreeScratch { scratch in
            for name in ["b", "a", "c"] {
                _ = try scratch.makeFolder(name)
                for file in ["2", "10", "1"] { _ = try scratch.file("\(name)/\(file)") }
            }
            try await withRuntime(engine) { runtime in
                let (entries, _) = try await items(
                    of: Paths.walk(Path(scratch.folder), options: WalkOptions(.sorted), runtime: runtime))
                let names = entries.dropFirst().map {
                    String(decoding: $0.path.bytes.dropFirst(scratch.folder.utf8.count + 1), as: UTF8.self)
                }
                #expect(names == "a a/1 a/10 a/2 b b/1 b/10 b/2 c c/1 c/10 c/2".split(separator: " ").map(String.init))
            }
        }
    }

    @Test(arguments: engines)
    func linksAreFollowedIfAskedForAndLoopsAreTold(_ engine: EngineKind) async throws {
        try await withTreeScratch { scratch in
            _ = try scratch.makeFolder("a")
            _ = try scratch.makeFolder("b")
            _ = try scratch.file("b/file")
            try #require(symlink("../b", scratch.path("a/other")) == 0 && symlink("..", scratch.path("b/up")) == 0)
            try await withRuntime(engine) { runtime in
                let root = Path(scratch.folder)
                let plain = try await items(of: Paths.walk(root, runtime: runtime))
                #expect(plain.failures.isEmpty)
                #expect(plain.entries.filter { $0.type == .symbolicLink }.count == 2)
                #expect(!plain.entries.contains { $0.path == Path(scratch.path("a/other/file")) })
                let followed = try await items(
                    of: Paths.walk(root, options: WalkOptions(.followLinks), runtime: runtime))
                #expect(followed.entries.contains { $0.path == Path(scratch.path("a/other/file")) })
                #expect(
                    Set(followed.failures.compactMap(\.path)) == [
                        Path(scratch.path("a/other/up")), Path(scratch.path("b/up")),
                    ])
                #expect(followed.failures.allSatisfy { $0.errno?.rawValue == ELOOP && $0.advice != nil })
                // The root itself is a link.
                let link = scratch.path("link")
                try #require(symlink("b", link) == 0)
                #expect(try await items(of: Paths.walk(Path(link), runtime: runtime)).entries.count == 1)
                #expect(try await items(of: Paths.walk(Path(link + "/"), runtime: runtime)).entries.count == 3)
            }
        }
    }

    @Test(arguments: engines)
    func aDirectoryThatVanishesIsToldAndTheRestGoesOn(_ engine: EngineKind) async throws {
        try await withTreeScratch { scratch in
            for name in ["a", "b", "c"] {
                _ = try scratch.makeFolder(name)
                _ = try scratch.file("\(name)/file")
            }
            try await withRuntime(engine) { runtime in
                var options = WalkOptions(.sorted)
                options.readahead = 0
                let iterator = Paths.walk(Path(scratch.folder), options: options, runtime: runtime).makeAsyncIterator()
                var (names, failures): ([Path], [IOError]) = ([], [])
                while let item = try await iterator.next() {
                    switch item {
                    case .entry(let entry):
                        names.append(entry.path)
                        guard entry.path == Path(scratch.path("b")) else { continue }
                        try #require(unlink(scratch.path("b/file")) == 0 && rmdir(scratch.path("b")) == 0)
                    case .failure(let error): failures.append(error)
                    }
                }
                #expect(failures.map(\.path) == [Path(scratch.path("b"))] && failures.first?.code == .notFound)
                #expect(names.count == 6 && names.last == Path(scratch.path("c/file")))
                await expectError(.notFound) {
                    try await items(of: Paths.walk(Path(scratch.path("none")), runtime: runtime))
                }
            }
        }
    }

    @Test(.notSimulated(.process), arguments: engines.map(\.description))
    func aDirectoryWithoutPermissionIsToldAndTheRestGoesOn(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            let engine = try #require(engines.first { $0.description == name })
            try await withTreeScratch { scratch in
                try #require(chmod(scratch.folder, 0o755) == 0)
                for name in ["a", "closed", "z"] {
                    _ = try scratch.makeFolder(name)
                    _ = try scratch.file("\(name)/file")
                }
                try #require(chmod(scratch.path("closed"), 0) == 0)
                if geteuid() == 0 { try becomeNobody() }
                try await withRuntime(engine) { runtime in
                    let (entries, failures) = try await items(
                        of: Paths.walk(Path(scratch.folder), options: WalkOptions(.status), runtime: runtime))
                    #expect(entries.count == 6)
                    #expect(failures.map(\.code) == [.permissionDenied])
                    #expect(failures.first?.path == Path(scratch.path("closed")))
                }
                _ = seteuid(0)
                _ = chmod(scratch.path("closed"), 0o755)
            }
        }
    }

    /// /proc is a separate file system on any Linux.
    @Test(.notSimulated(.mounts), arguments: engines)
    func otherFileSystemsAreNotEntered(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            var options = WalkOptions()
            options.depthMax = 2
            let isInProc = { (entry: WalkEntry) in entry.path.bytes.starts(with: Array("/proc/".utf8)) }
            #expect(
                try await items(of: Paths.walk("/", options: options, runtime: runtime)).entries.contains(
                    where: isInProc))
            options.staysOnFileSystem = true
            let own = try await items(of: Paths.walk("/", options: options, runtime: runtime)).entries
            #expect(own.contains { $0.path == "/proc" } && !own.contains(where: isInProc))
            #expect(own.allSatisfy { $0.depth <= 2 })
        }
    }

    @Test(arguments: engines)
    func whatIsSkippedIsNotEntered(_ engine: EngineKind) async throws {
        try await withTreeScratch { scratch in
            for name in ["a", "b", "c"] {
                _ = try scratch.makeFolder(name)
                _ = try scratch.file("\(name)/file")
            }
            try await withRuntime(engine) { runtime in
                let iterator = Paths.walk(Path(scratch.folder), runtime: runtime).makeAsyncIterator()
                var count = 0
                while let item = try await iterator.next() {
                    guard case .entry(let entry) = item else { continue }
                    count += 1
                    if entry.path == Path(scratch.path("b")) { await iterator.skipDescendants() }
                }
                #expect(count == 6)
            }
        }
    }

    /// Deeper than a path can express, and than the limit on descriptors.
    @Test(.notSimulated(.process), arguments: engines.map(\.description))
    func aDeepTreeIsWalkedWithFewDescriptors(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            let engine = try #require(engines.first { $0.description == name })
            try await withTreeScratch { scratch in
                let levels = try makeDeepTree(scratch.folder, levels: 250)
                try Limits.allowDescriptors(64)
                try await withRuntime(engine) { runtime in
                    let (entries, failures) = try await items(
                        of: Paths.walk(Path(scratch.folder), options: WalkOptions(.status), runtime: runtime))
                    #expect(failures.isEmpty && entries.count == levels + 1 && entries.last?.depth == levels)
                }
            }
        }
    }

    /// Directories that are too large for one batch stay open while they are read ahead.
    @Test(.notSimulated(.process), arguments: engines.map(\.description))
    func batchesAndDescriptorsAreBounded(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            let engine = try #require(engines.first { $0.description == name })
            try await withTreeScratch { scratch in
                var path = ""
                // Each level has one directory to descend into, and more siblings than are read ahead.
                for level in 0..<12 {
                    for folder in 0..<12 {
                        _ = try scratch.makeFolder("\(path)\(folder)")
                        let fileCount = folder < 3 && level < 2 ? 800 : 1
                        try scratch.file(
                            named: (0..<fileCount).map { "\(path)\(folder)/file-\($0)-of-some-length" })
                    }
                    path += "0/"
                }
                try await withRuntime(engine) { runtime in
                    let before = openDescriptors().count
                    let walk = Paths.walk(Path(scratch.folder), options: WalkOptions(.status), runtime: runtime)
                    let iterator = walk.makeAsyncIterator()
                    var (count, openMax) = (0, 0)
                    while let item = try await iterator.next() {
                        count += 1
                        if case .failure(let error) = item { Issue.record("\(error)") }
                        if count % 64 == 0 { openMax = max(openMax, openDescriptors().count) }
                    }
                    #expect(count == 1 + 144 + 6 * 800 + 138)
                    #expect(iterator.aheadPeak >= 8 && iterator.aheadPeak <= WalkIterator.aheadMax)
                    #expect(openMax - before <= 96, "\(openMax - before) descriptors")
                    // A directory that is abandoned in the descent is closed in the background.
                    try await eventually { openDescriptors().count == before }
                }
            }
        }
    }

    @Test(arguments: engines)
    func aCancelledWalkThrowsAndHasClosedWhatItOpened(_ engine: EngineKind) async throws {
        try await withTreeScratch { scratch in
            for folder in 0..<100 {
                _ = try scratch.makeFolder("\(folder)")
                for file in 0..<20 { _ = try scratch.file("\(folder)/\(file)") }
            }
            try await withRuntime(engine) { runtime in
                let task = Task {
                    var count = 0
                    for try await _ in Paths.walk(Path(scratch.folder), options: WalkOptions(.status), runtime: runtime)
                    {
                        count += 1
                        if count == 200 { withUnsafeCurrentTask { $0?.cancel() } }
                    }
                }
                await expectError(.cancelled) { try await task.value }
                #expect(runtime.inFlightCount == 0)
                let deadline = Deadline.now + .seconds(-1)
                await expectError(.deadlineExceeded) {
                    try await items(of: Paths.walk(Path(scratch.folder), runtime: runtime, deadline: deadline))
                }
            }
        }
    }
}
