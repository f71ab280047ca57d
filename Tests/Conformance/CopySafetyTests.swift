import AIO
import Glibc
import Testing
import UnitSupport

/// What a copy must not destroy, where it must not write, and to whom it must not grant access.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct CopySafetyTests {
    private func mode(_ path: String) throws -> UInt32 {
        var status = Glibc.stat()
        try #require(lstat(path, &status) == 0, "\(path): errno \(errno)")
        return status.st_mode & 0o7777
    }

    private func inode(_ path: String) throws -> UInt {
        var status = Glibc.stat()
        try #require(lstat(path, &status) == 0, "\(path): errno \(errno)")
        return UInt(status.st_ino)
    }

    // MARK: Nothing is destroyed

    @Test(arguments: engines)
    func aFileIsNotReplacedByALinkToItNorByAnotherOfItsNames(_ engine: EngineKind) async throws {
        try await withTreeScratch { scratch in
            let file = try scratch.file("file", [1, 2, 3])
            try #require(symlink("file", scratch.path("link")) == 0 && link(file, scratch.path("name")) == 0)
            try #require(symlink(file, scratch.path("far")) == 0 && symlink("link", scratch.path("twice")) == 0)
            _ = try scratch.makeFolder("folder")
            let pairs = [
                ("link", "file"), ("far", "file"), ("twice", "file"), ("twice", "name"), ("file", "link"),
                ("name", "far"),
                ("file", "folder/../file"), ("folder/../link", "file"), ("file", "name"), ("file", "file"),
            ]
            try await withRuntime(engine) { runtime in
                for (source, target) in pairs {
                    let error = await expectError(.invalidArgument) {
                        try await Paths.copy(
                            Path(scratch.path(source)), to: Path(scratch.path(target)), runtime: runtime)
                    }
                    #expect(error?.advice?.contains("same file") == true, "\(source) to \(target)")
                }
                #expect(try scratch.content("file") == [1, 2, 3] && inode(file) == inode(scratch.path("name")))
                // Two links to the same file are two files.
                try await Paths.copy(Path(scratch.path("link")), to: Path(scratch.path("far")), runtime: runtime)
                #expect(try scratch.content("far") == [1, 2, 3])
            }
        }
    }

    @Test(arguments: engines)
    func inATreeWhatWouldReplaceItselfIsToldAndTheRestGoesOn(_ engine: EngineKind) async throws {
        try await withTreeScratch { scratch in
            for folder in ["tree", "tree/deep", "copy", "copy/deep"] { _ = try scratch.makeFolder(folder) }
            // The only content is in the copy, in the tree, or in both.
            let there = try scratch.file("copy/deep/there", [1])
            try #require(symlink("../../copy/deep/there", scratch.path("tree/deep/there")) == 0)
            _ = try scratch.file("tree/here", [2])
            try #require(symlink("../tree/here", scratch.path("copy/here")) == 0)
            let both = try scratch.file("tree/both", [3])
            try #require(link(both, scratch.path("copy/both")) == 0)
            _ = try scratch.file("tree/other", [4])
            try await withRuntime(engine) { runtime in
                var failures: [IOError] = []
                let summary = try await Paths.copy(
                    Path(scratch.path("tree")), to: Path(scratch.path("copy")), runtime: runtime
                ) { failures.append($0) }
                #expect(failures.count == 3 && failures.allSatisfy { $0.code == .invalidArgument }, "\(failures)")
                #expect(summary.files == 1 && summary.failures == 3)
                for (name, content) in [("copy/deep/there", 1), ("tree/here", 2), ("tree/both", 3), ("copy/other", 4)] {
                    #expect(try scratch.content(name) == [UInt8(content)], "\(name)")
                }
                var status = Glibc.stat()
                #expect(lstat(there, &status) == 0 && status.st_mode & S_IFMT == S_IFREG)
            }
        }
    }

    /// The target is mounted inside the source: the copy must not recurse into itself without end.
    @Test(.notSimulated(.mounts), arguments: engines)
    func aMountOfTheTargetInTheSourceIsNotEntered(_ engine: EngineKind) async throws {
        try await withTreeScratch { scratch in
            for folder in ["tree", "tree/mount", "copy", "same", "same/folder", "again"] {
                _ = try scratch.makeFolder(folder)
            }
            _ = try scratch.file("tree/file", [1])
            _ = try scratch.file("same/folder/file", [1])
            guard runs(["mount", "--bind", scratch.path("copy"), scratch.path("tree/mount")]) else {
                try Test.cancel("\(skipped("no mount without root"))")
            }
            defer { _ = runs(["umount", scratch.path("tree/mount")]) }
            try #require(runs(["mount", "--bind", scratch.path("same"), scratch.path("again")]))
            defer { _ = runs(["umount", scratch.path("again")]) }
            try await withRuntime(engine) { runtime in
                var failures: [IOError] = []
                try await Paths.copy(Path(scratch.path("tree")), to: Path(scratch.path("copy")), runtime: runtime) {
                    failures.append($0)
                }
                #expect(failures.map(\.path) == [Path(scratch.path("tree/mount"))], "\(failures)")
                #expect(try scratch.content("copy/file") == [1] && !scratch.has("copy/mount/mount"))
                // The same folder under two paths.
                for target in ["again", "again/folder"] {
                    await expectError(.invalidArgument) {
                        try await Paths.copy(
                            Path(scratch.path("same")), to: Path(scratch.path(target)), runtime: runtime)
                    }
                }
                await expectError(.invalidArgument) {
                    try await Paths.copy(
                        Path(scratch.path("same/folder/file")), to: Path(scratch.path("again/folder/file")),
                        runtime: runtime)
                }
                #expect(try scratch.content("same/folder/file") == [1])
            }
        }
    }

    @Test(arguments: engines)
    func copiesThatBelongTogetherDoNotReplaceEachOther(_ engine: EngineKind) async throws {
        try await withTreeScratch { scratch in
            for folder in ["a", "b", "copy"] { _ = try scratch.makeFolder(folder) }
            let first = try scratch.file("a/file", [1])
            _ = try scratch.file("b/file", [2])
            try #require(link(first, scratch.path("b/name")) == 0)
            let files = CopiedFiles()
            try await withRuntime(engine) { runtime in
                let copy = { (source: String, target: String) in
                    try await Paths.copy(
                        Path(scratch.path(source)), to: Path(scratch.path(target)), files: files, runtime: runtime)
                }
                _ = try await copy("a/file", "copy/file")
                await expectError(.alreadyExists) { try await copy("b/file", "copy/file") }
                #expect(try scratch.content("copy/file") == [1])
                // Hard links stay hard links.
                _ = try await copy("b", "copy/b")
                #expect(try inode(scratch.path("copy/b/name")) == inode(scratch.path("copy/file")))
                #expect(try scratch.content("copy/b/file") == [2])
            }
        }
    }

    // MARK: Nothing is written elsewhere

    @Test(arguments: engines)
    func noLinkLeadsACopyOutOfItsTarget(_ engine: EngineKind) async throws {
        try await withTreeScratch { scratch in
            for folder in ["tree", "tree/a", "tree/a/b", "copy", "copy/a", "victim", "link-copy"] {
                _ = try scratch.makeFolder(folder)
            }
            for name in ["tree/file", "tree/a/file", "tree/a/b/file"] { _ = try scratch.file(name, [1]) }
            try #require(symlink("../../victim", scratch.path("copy/a/b")) == 0)
            try #require(symlink("victim", scratch.path("link")) == 0)
            try await withRuntime(engine) { runtime in
                var failures: [IOError] = []
                try await Paths.copy(Path(scratch.path("tree")), to: Path(scratch.path("copy")), runtime: runtime) {
                    failures.append($0)
                }
                #expect(failures.map(\.code) == [.alreadyExists], "\(failures)")
                #expect(failures.first?.path == Path(scratch.path("copy/a/b")))
                #expect(try scratch.content("copy/a/file") == [1] && !scratch.has("victim/file"))
                await expectError(.alreadyExists) {
                    try await Paths.copy(Path(scratch.path("tree/a")), to: Path(scratch.path("link")), runtime: runtime)
                }
                #expect(!scratch.has("victim/file"))
                // With a trailing slash the path means the link's target.
                try await Paths.copy(
                    Path(scratch.path("tree/a")), to: Path(scratch.path("link/")), runtime: runtime)
                #expect(try scratch.content("victim/b/file") == [1])
            }
        }
    }

    /// While the copy runs, its folders are repeatedly replaced by links to another folder.
    @Test(arguments: engines)
    func aLinkThatIsPutInMeanwhileIsNotFollowed(_ engine: EngineKind) async throws {
        try await withTreeScratch { scratch in
            _ = try scratch.makeFolder("tree")
            _ = try scratch.makeFolder("victim")
            for folder in 0..<40 {
                _ = try scratch.makeFolder("tree/\(folder)")
                for file in 0..<10 { _ = try scratch.file("tree/\(folder)/\(file)", [1]) }
            }
            let isOver = Flag()
            let attacker = TestThread {
                // Removes each folder as it appears, and puts a link in its place.
                while !isOver.isSet {
                    for folder in 0..<40 {
                        let path = scratch.path("copy/\(folder)")
                        if rename(path, scratch.path("copy/away-\(folder)")) == 0 { symlink("../victim", path) }
                    }
                }
            }
            try await withRuntime(engine) { runtime in
                _ = try await Paths.copy(
                    Path(scratch.path("tree")), to: Path(scratch.path("copy")), runtime: runtime)
            }
            isOver.set()
            attacker.join()
            #expect(try await items(of: Paths.walk(Path(scratch.path("victim")))).entries.count == 1)
        }
    }

    // MARK: Access is not widened

    @Test(.notSimulated(.process), arguments: engines)
    func aFoldersListOfAccessIsNotGivenToCopies(_ engine: EngineKind) async throws {
        try await withTreeScratch { scratch in
            for folder in ["tree", "tree/folder", "copy", "copy/old"] { _ = try scratch.makeFolder(folder) }
            for name in ["file", "tree/folder/file", "tree/file"] {
                try #require(chmod(scratch.file(name, [1]), 0o640) == 0)
            }
            try #require(mkfifo(scratch.path("tree/fifo"), 0o640) == 0)
            try #require(chmod(scratch.path("tree/folder"), 0o750) == 0)
            for folder in ["copy", "copy/old"] {
                guard runs(["setfacl", "-d", "-m", "u:1234:rwx", forOthers(scratch.path(folder))]) else {
                    try Test.cancel("\(skipped("no setfacl"))")
                }
            }
            try await withRuntime(engine) { runtime in
                for (source, target) in [("file", "copy/file"), ("tree", "copy/tree"), ("tree", "copy/old")] {
                    try await Paths.copy(
                        Path(scratch.path(source)), to: Path(scratch.path(target)), runtime: runtime
                    ) { Issue.record("\($0)") }
                }
                let copies = try await items(of: Paths.walk(Path(scratch.path("copy")))).entries.dropFirst()
                #expect(copies.count == 1 + 2 * 5)
                for copy in copies {
                    let names = try await Paths.extendedAttributes(of: copy.path)
                    #expect(names.isEmpty, "\(copy.path) has \(names)")
                }
                #expect(try mode(scratch.path("copy/file")) == 0o640 && mode(scratch.path("copy/tree/fifo")) == 0o640)
                #expect(try mode(scratch.path("copy/old/folder")) == 0o750)
            }
        }
    }

    /// The ACL grants a user more than the group. The mode's group bits are then the ACL's mask, not the group's own
    /// permissions.
    @Test func aListThatCannotBeKeptDoesNotWidenWhatTheGroupMay() async throws {
        let mount = try DetachedMount.orSkip("tmpfs", [("noacl", "")])
        defer { mount.release() }
        try await withTreeScratch { scratch in
            try #require(chmod(scratch.file("file", [1]), 0o600) == 0)
            guard runs(["setfacl", "-m", "u:1234:rwx,g::r", forOthers(scratch.path("file"))]) else {
                try Test.cancel("\(skipped("no setfacl"))")
            }
            #expect(try mode(scratch.path("file")) == 0o670)
            try await Paths.copy(Path(scratch.path("file")), to: Path(mount.root + "/file"))
            #expect(try mode(mount.root + "/file") == 0o640)
        }
    }

    @Test(.notSimulated(.process), arguments: engines)
    func withoutMetadataFoldersHaveTheirSourcesPermissionsToo(_ engine: EngineKind) async throws {
        try await withTreeScratch { scratch in
            let modes: [UInt32] = [0o700, 0o500, 0o1777, 0o2755, 0o000, 0o750, 0o311]
            _ = try scratch.makeFolder("tree")
            for mode in modes {
                let folder = try scratch.makeFolder("tree/\(mode)")
                if mode & 0o400 != 0 || geteuid() == 0 { _ = try scratch.file("tree/\(mode)/file", [1]) }
                try #require(chmod(folder, mode) == 0)
            }
            var options = CopyOptions()
            options.keepsMetadata = false
            try await withRuntime(engine) { [options] runtime in
                let before = umask(0o022)
                defer { umask(before) }
                try await Paths.copy(
                    Path(scratch.path("tree")), to: Path(scratch.path("copy")), options: options, runtime: runtime
                ) { error in if geteuid() == 0 { Issue.record("\(error)") } }
                #expect(runs(["cp", "-r", forOthers(scratch.path("tree")), forOthers(scratch.path("theirs"))]))
                for mode in modes {
                    let (ours, theirs) = try (
                        self.mode(scratch.path("copy/\(mode)")), self.mode(scratch.path("theirs/\(mode)"))
                    )
                    #expect(ours == theirs, "\(String(mode, radix: 8)) became \(String(ours, radix: 8))")
                    for copy in ["copy", "theirs", "tree"] { _ = chmod(scratch.path("\(copy)/\(mode)"), 0o700) }
                }
            }
        }
    }

    /// The umask is the process's.
    @Test(.notSimulated(.process), arguments: engines.map(\.description), [true, false])
    func theUmaskKeepsNoTreeFromBeingCopied(_ name: String, _ keepsMetadata: Bool) async {
        await #expect(processExitsWith: .success) { [name = name as String, keepsMetadata = keepsMetadata as Bool] in
            try await withTreeScratch { scratch in
                try #require(chmod(scratch.folder, 0o777) == 0)
                try await withRuntime(try #require(EngineKind(name))) { runtime in
                    if geteuid() == 0 { try becomeNobody() }
                    let tree = try scratch.makeFolder("tree")
                    for folder in ["tree/a", "tree/a/b"] {
                        _ = try scratch.makeFolder(folder)
                        _ = try scratch.file("\(folder)/file", [1])
                    }
                    var options = CopyOptions()
                    options.keepsMetadata = keepsMetadata
                    umask(0o777)
                    let summary = try await Paths.copy(
                        Path(tree), to: Path(scratch.path("copy")), options: options, runtime: runtime
                    ) { Issue.record("\($0)") }
                    #expect(summary.files == 2 && summary.directories == 3)
                    var status = Glibc.stat()
                    try #require(lstat(scratch.path("copy"), &status) == 0)
                    #expect(status.st_mode & 0o7777 == (keepsMetadata ? 0o755 : 0))
                }
                if getuid() == 0 { try #require(seteuid(0) == 0) }
            }
        }
    }

    @Test(arguments: engines)
    func foldersOfACopyThatIsCancelledHaveThePermissionsOfTheirSource(_ engine: EngineKind) async throws {
        try await withTreeScratch { scratch in
            for (folder, mode) in [("tree", 0o711), ("tree/a", 0o755), ("tree/a/b", 0o500)] as [(String, UInt32)] {
                _ = try scratch.makeFolder(folder)
                for file in 0..<200 { _ = try scratch.file("\(folder)/\(file)", [1]) }
                if folder == "tree/a/b" { try #require(chmod(scratch.path(folder), mode) == 0) }
            }
            try #require(chmod(scratch.path("tree"), 0o711) == 0)
            try await withRuntime(engine) { runtime in
                let (progress, isThrough) = (CopyProgress(), Flag())
                let copy = Task {
                    defer { isThrough.set() }
                    try await Paths.copy(
                        Path(scratch.path("tree")), to: Path(scratch.path("copy")), progress: progress,
                        runtime: runtime)
                }
                try await eventually { progress.files > 10 || isThrough.isSet }
                copy.cancel()
                _ = await copy.result
                for (folder, mode) in [("copy", 0o711), ("copy/a", 0o755), ("copy/a/b", 0o500)] as [(String, UInt32)]
                where scratch.has(folder) {
                    #expect(try self.mode(scratch.path(folder)) == mode, "\(folder)")
                }
            }
        }
    }
}
