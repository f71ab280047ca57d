import AIO
import CKernel
import Glibc
import Testing
import UnitSupport

/// Paths relative to an open folder.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct FolderNameTests {
    @Test(arguments: engines)
    func namesAreGivenAndTakenAwayBelowAFolder(_ engine: EngineKind) async throws {
        try await inFolder(engine) { scratch, folder in
            try await Paths.makeDirectory("a", in: folder, permissions: 0o700)
            #expect(try await Paths.status(of: "a", in: folder).isDirectory)
            try await Paths.writeFile("a/file", in: folder, [1, 2])
            #expect(try await Paths.readFile("./a/../a//file", in: folder) == [1, 2])
            try await Paths.link("a/file", in: folder, to: "hard")
            #expect(try await Paths.status(of: "hard", in: folder).linkCount == 2)
            try await Paths.makeSymbolicLink(at: "a/link", in: folder, to: "../hard")
            #expect(try await Paths.readLink("a/link", in: folder) == "../hard")
            #expect(try await Paths.status(of: "a/link", in: folder).size == 2)
            #expect(try await Paths.status(of: "a/link", in: folder, followLinks: false).isSymbolicLink)
            await expectError(.alreadyExists) {
                try await Paths.rename("a/file", in: folder, to: "hard", options: .noReplace)
            }
            try await Paths.rename("a/link", in: folder, to: "link")
            #expect(try scratch.names(in: "folder") == ["a", "hard", "link"])
            let error = await expectError(.isDirectory) { try await Paths.unlink("a", in: folder) }
            #expect(error?.path == "a" && error?.operation == "unlink")
            for name: Path in ["a/file", "hard", "link"] { try await Paths.unlink(name, in: folder) }
            await expectError(.notFound) { try await Paths.unlink("hard", in: folder) }
            try await Paths.removeDirectory("a/", in: folder)
            #expect(try await Paths.status(of: ".", in: folder).isDirectory)
        }
    }

    /// Attempts to escape by `..`, by an absolute path, by a link to a folder, and by a link to a file.
    @Test(arguments: engines)
    func noWayLeadsOut(_ engine: EngineKind) async throws {
        try await inFolder(engine) { scratch, folder in
            _ = try scratch.file("outside", [1])
            #expect(symlink("..", scratch.path("folder/up")) == 0)
            #expect(symlink("../outside", scratch.path("folder/link")) == 0)
            try await Paths.writeFile("inside", in: folder, [2])
            let absolute = Path(scratch.path("outside"))
            for path: Path in ["../outside", "up/outside", absolute] {
                let new = Path(bytes: path.bytes + Array("-new".utf8))
                await expectEscape { try await Paths.status(of: path, in: folder) }
                await expectEscape { try await Paths.readFile(path, in: folder) }
                await expectEscape { try await Paths.writeFile(path, in: folder, [3]) }
                await expectEscape { try await Paths.unlink(path, in: folder) }
                await expectEscape { try await Paths.readLink(path, in: folder) }
                await expectEscape { try await Paths.makeDirectory(new, in: folder) }
                await expectEscape { try await Paths.removeDirectory(path, in: folder) }
                await expectEscape { try await Paths.makeSymbolicLink(at: new, in: folder, to: "x") }
                await expectEscape { try await Paths.rename("inside", in: folder, to: new) }
                await expectEscape { try await Paths.rename(path, in: folder, to: "new") }
                await expectEscape { try await Paths.link("inside", in: folder, to: new) }
                await expectEscape { try await Paths.link(path, in: folder, to: "new") }
            }
            // A link as the last component: its target is outside, the link itself is not.
            await expectEscape { try await Paths.status(of: "link", in: folder) }
            await expectEscape { try await Paths.readFile("link", in: folder) }
            await expectEscape { try await Paths.writeFile("link", in: folder, [3]) }
            #expect(try await Paths.status(of: "link", in: folder, followLinks: false).isSymbolicLink)
            // With a trailing slash the kernel would follow the link.
            await expectError(.notDirectory) { try await Paths.removeDirectory("up/", in: folder) }
            try await Paths.unlink("up/", in: folder)
            try await Paths.unlink("link", in: folder)
            #expect(try scratch.content("outside") == [1])
            #expect(try scratch.names() == ["folder", "outside"])
            try await Paths.unlink("inside", in: folder)
        }
    }

    @Test(arguments: engines)
    func aFolderCanBeTheRoot(_ engine: EngineKind) async throws {
        try await inFolder(engine) { scratch, folder in
            try await Paths.makeDirectory("/etc", in: folder, confinement: .inRoot)
            try await Paths.writeFile("/../etc/file", in: folder, confinement: .inRoot, [1])
            #expect(try scratch.content("folder/etc/file") == [1])
            try await Paths.makeSymbolicLink(at: "/link", in: folder, confinement: .inRoot, to: "/etc/file")
            #expect(try await Paths.readFile("link", in: folder, confinement: .inRoot) == [1])
            for name: Path in ["/etc/file", "/../link"] {
                try await Paths.unlink(name, in: folder, confinement: .inRoot)
            }
            try await Paths.removeDirectory("etc", in: folder)
            // Without confinement, paths may leave the folder.
            _ = try scratch.file("outside", [2])
            #expect(try await Paths.readFile("../outside", in: folder, confinement: []) == [2])
        }
    }

    @Test(arguments: engines)
    func aNameMovesToAnotherFolder(_ engine: EngineKind) async throws {
        try await inFolder(engine) { scratch, folder in
            let other = try scratch.makeFolder("other")
            defer { rmdir(other) }
            let runtime = folder.runtime
            try await withFile(Path(other), options: .directory, runtime: runtime) { other in
                try await Paths.writeFile("file", in: folder, [1])
                try await Paths.link("file", in: folder, to: "linked", in: other)
                try await Paths.rename("file", in: folder, to: "moved", in: other)
                #expect(try scratch.names(in: "other") == ["linked", "moved"])
                let error = await expectError(.notFound) {
                    try await Paths.rename("file", in: folder, to: "moved", in: other)
                }
                #expect(error?.description.contains("moved") == true)
                for name: Path in ["linked", "moved"] { try await Paths.unlink(name, in: other) }
            }
        }
    }

    @Test(arguments: engines)
    func whatHasNoNameIsRefused(_ engine: EngineKind) async throws {
        try await inFolder(engine) { _, folder in
            for path: Path in ["", ".", "..", "/", "a/.", "a/../", Path(bytes: [65, 0, 65])] {
                await expectError(.invalidArgument) { try await Paths.unlink(path, in: folder) }
                await expectError(.invalidArgument) { try await Paths.makeDirectory(path, in: folder) }
                await expectError(.invalidArgument) { try await Paths.rename("x", in: folder, to: path) }
                await expectError(.invalidArgument) { try await Paths.link(path, in: folder, to: "x") }
                await expectError(.invalidArgument) { try await Paths.makeSymbolicLink(at: path, in: folder, to: "x") }
                await expectError(.invalidArgument) { try await Paths.replaceFile(path, in: folder, [1]) }
            }
            await expectError(.invalidArgument) { try await Paths.readLink(".", in: folder) }
            await expectError(.invalidArgument) {
                try await Paths.makeSymbolicLink(at: "x", in: folder, to: Path(bytes: [65, 0, 65]))
            }
        }
    }

    /// In an exit test, where nothing else opens descriptors.
    @Test(.notSimulated(.process), arguments: engines.map(\.description))
    func noDescriptorIsLeftOpenAndAClosedFolderIsRefused(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            let engine = try #require(EngineKind(name))
            try await withScratch { scratch in
                _ = try scratch.makeFolder("folder")
                defer { rmdir(scratch.path("folder")) }
                try await withRuntime(engine) { runtime in
                    let folder = try await File.open(
                        Path(scratch.path("folder")), options: .directory, runtime: runtime)
                    try await Paths.writeFile("file", in: folder, [1])
                    let before = openFiles()
                    for path: Path in ["file", "missing", "missing/file", "file/file", "../file"] {
                        _ = try? await Paths.status(of: path, in: folder)
                        _ = try? await Paths.readLink(path, in: folder)
                        _ = try? await Paths.readFile(path, in: folder)
                        _ = try? await Paths.link(path, in: folder, to: "missing/new")
                        _ = try? await Paths.rename(path, in: folder, to: "missing/new")
                        _ = try? await Paths.makeDirectory(path, in: folder)
                        _ = try? await Paths.replaceFile(path, in: folder, [2])
                        _ = try? await Paths.removeDirectory(path, in: folder)
                        _ = try? await Paths.unlink(path, in: folder)
                    }
                    #expect(openFiles() == before)
                    #expect(try scratch.names(in: "folder") == [])
                    try await folder.close()
                    await expectError(.fileClosed) { try await Paths.status(of: "file", in: folder) }
                    await expectError(.fileClosed) { try await Paths.unlink("file", in: folder) }
                    await expectError(.fileClosed) { try await Paths.writeFile("file", in: folder, [1]) }
                    await expectError(.fileClosed) { try await Paths.rename("file", in: folder, to: "x") }
                    await expectError(.fileClosed) { try await Paths.replaceFile("file", in: folder, [1]) }
                }
            }
        }
    }

    // MARK: -

    private func inFolder(_ engine: EngineKind, _ body: (Scratch, File) async throws -> Void) async throws {
        try await withScratch { scratch in
            let path = try scratch.makeFolder("folder")
            defer { rmdir(path) }
            try await withRuntime(engine) { runtime in
                try await withFile(Path(path), options: .directory, runtime: runtime) { folder in
                    try await body(scratch, folder)
                }
                #expect(try scratch.names(in: "folder") == [])
            }
        }
    }

    private func expectEscape<R>(
        sourceLocation: SourceLocation = #_sourceLocation, _ body: () async throws -> R
    ) async {
        let error = await expectError(.other, sourceLocation: sourceLocation, body)
        #expect(error?.errno?.rawValue == EXDEV, sourceLocation: sourceLocation)
    }
}

/// The process' descriptors without pipes, which a sanitizer opens now and then.
private func openFiles() -> Set<Int32> {
    openDescriptors().filter { descriptor in
        var status = Glibc.stat()
        return fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT != S_IFIFO
    }
}
