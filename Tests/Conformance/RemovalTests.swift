import AIO
import CKernel
import Glibc
import Testing
import UnitSupport

/// Removal of trees.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct RemovalTests {
    @Test(arguments: engines)
    func aTreeIsRemovedAndWhatItsLinksLeadToIsNot(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            _ = try scratch.file("kept", [1])
            let other = try scratch.makeFolder("other")
            _ = try scratch.file("other/kept", [2])
            let tree = try scratch.makeFolder("tree")
            for name in ["a", "a/b", "a/b/c", "empty"] { _ = try scratch.makeFolder("tree/\(name)") }
            for name in ["one", "a/two", "a/b/three"] { _ = try scratch.file("tree/\(name)", [3]) }
            #expect(symlink(other, tree + "/folder") == 0)
            #expect(symlink("../../kept", tree + "/a/file") == 0)
            #expect(symlink("..", tree + "/a/b/up") == 0)
            #expect(mkfifo(tree + "/fifo", 0o600) == 0)
            try await withRuntime(engine) { runtime in
                for name in unusualNames {
                    let path = Path(bytes: Array("\(tree)/a/".utf8) + name)
                    try await Paths.makeDirectory(path, runtime: runtime)
                    try await Paths.writeFile(Path(bytes: path.bytes + [0x2f] + name), [4], runtime: runtime)
                }
                try await Paths.removeRecursively(Path(tree), runtime: runtime)
                #expect(!scratch.has("tree"))
                #expect(try scratch.content("kept") == [1])
                #expect(try scratch.content("other/kept") == [2])
                await expectError(.notFound) { try await Paths.removeRecursively(Path(tree), runtime: runtime) }
                try await Paths.removeRecursively(Path(other), runtime: runtime)
            }
        }
    }

    /// Also with trailing slashes, with which other calls follow the link.
    @Test(arguments: engines, ["", "/", "//"])
    func aLinkToAFolderIsRemovedItself(_ engine: EngineKind, _ slashes: String) async throws {
        try await withScratch { scratch in
            let folder = try scratch.makeFolder("folder")
            _ = try scratch.file("folder/kept", [1])
            #expect(symlink(folder, scratch.path("link")) == 0)
            try await withRuntime(engine) { runtime in
                try await Paths.removeRecursively(Path(scratch.path("link") + slashes), runtime: runtime)
                #expect(!scratch.has("link"))
                #expect(try scratch.content("folder/kept") == [1])
                try await Paths.removeRecursively(Path(folder + slashes), runtime: runtime)
                #expect(!scratch.has("folder"))
            }
        }
    }

    @Test(arguments: engines, ["", "/", "//", ".", "..", "/tmp/.", "/tmp/..", "/tmp/../"])
    func whatHasNoNameOfItsOwnIsRefused(_ engine: EngineKind, _ path: String) async throws {
        try await withRuntime(engine) { runtime in
            _ = await expectError(.invalidArgument) {
                // The deadline has passed, so that a missing refusal would not empty the machine.
                try await Paths.removeRecursively(Path(path), runtime: runtime, deadline: .now + .seconds(-1))
            }
        }
    }

    @Test(arguments: engines)
    func manyEntriesAreRemoved(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let tree = try scratch.makeFolder("tree")
            let names = (0..<3000).map { index in
                "tree/\(index)-a name of some length, so that a read of the folder holds only a part of them"
            }
            try scratch.file(named: Array(names[500...]))
            for name in names[..<500] { _ = try scratch.makeFolder(name) }
            try await withRuntime(engine) { runtime in
                try await Paths.removeRecursively(Path(tree), runtime: runtime)
            }
            #expect(!scratch.has("tree"))
        }
    }

    /// Deeper than a path can express, and than the limit on descriptors.
    @Test(.notSimulated(.process), arguments: engines.map(\.description))
    func aDeepTreeTakesFewDescriptors(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            let engine = try #require(engines.first { $0.description == name })
            try await withScratch { scratch in
                let tree = try scratch.makeFolder("tree")
                // More levels than descriptors.
                try #require(try makeDeepTree(tree, levels: 1000) > 100)
                try Limits.allowDescriptors(64)
                try await withRuntime(engine) { runtime in
                    try await Paths.removeRecursively(Path(tree), runtime: runtime)
                }
                #expect(!scratch.has("tree"))
            }
        }
    }

    @Test(arguments: engines)
    func anErrorNamesTheEntry(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let tree = try scratch.makeFolder("tree")
            _ = try scratch.makeFolder("tree/folder")
            _ = try scratch.file("tree/folder/fixed")
            guard Immutable.set(tree + "/folder/fixed", true) else {
                rmdirAll(tree)
                try Test.cancel("\(skipped("files cannot be made immutable here"))")
            }
            try await withRuntime(engine) { runtime in
                let error = await expectError(.permissionDenied) {
                    try await Paths.removeRecursively(Path(tree), runtime: runtime)
                }
                #expect(error?.path == Path(tree + "/folder/fixed"))
                #expect(Immutable.set(tree + "/folder/fixed", false))
                try await Paths.removeRecursively(Path(tree), runtime: runtime)
            }
        }
    }

    @Test(arguments: engines)
    func aCancelledRemovalStops(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let tree = try scratch.makeFolder("tree")
            // More than can be removed in an instant. On a network file system far fewer suffice, and creating them
            // takes long.
            let count = testDirectory == "/tmp" ? 20_000 : 500
            try scratch.file(named: (0..<count).map { "tree/\($0)" })
            try await withRuntime(engine) { runtime in
                await expectError(.deadlineExceeded) {
                    try await Paths.removeRecursively(Path(tree), runtime: runtime, deadline: .now + .microseconds(500))
                }
                let isThrough = Flag()
                let removal = Task {
                    defer { isThrough.set() }
                    try await Paths.removeRecursively(Path(tree), runtime: runtime)
                }
                try await eventually { runtime.inFlightCount > 0 || isThrough.isSet }
                removal.cancel()
                // Unless the removal had finished by then.
                if case .failure(let error) = await removal.result {
                    #expect((error as? IOError)?.code == .cancelled, "\(error)")
                    try await Paths.removeRecursively(Path(tree), runtime: runtime)
                }
            }
        }
    }
}

private func rmdirAll(_ tree: String) {
    unlink(tree + "/folder/fixed")
    rmdir(tree + "/folder")
    rmdir(tree)
}
