import AIO
import CKernel
import Glibc
import Testing
import UnitSupport

/// Atomic replacement of whole files.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct ReplaceTests {
    private let content = KnownContent(seed: 31)

    @Test(arguments: engines, [Durability.full, .data, .none])
    func aFileIsMadeOrReplaced(_ engine: EngineKind, _ durability: Durability) async throws {
        try await withScratch { scratch in
            let path = Path(scratch.path("file"))
            try await withRuntime(engine) { runtime in
                for size in [5, 0, 3 << 20, 1] {
                    let bytes = content.bytes(count: size, at: 0)
                    try await Paths.replaceFile(path, bytes, durability: durability, runtime: runtime)
                    #expect(try scratch.content("file") == bytes)
                    #expect(try scratch.names() == ["file"])
                }
            }
        }
    }

    @Test(arguments: engines)
    func aNewFileHasThePermissionsLessTheUmask(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            try await withRuntime(engine) { runtime in
                let path = Path(scratch.path("file"))
                try await Paths.replaceFile(path, [1], permissions: 0o640, runtime: runtime)
                let plain = Path(scratch.path("plain"))
                try await Paths.writeFile(plain, [1], permissions: 0o640, runtime: runtime)
                let expected = try await Paths.status(of: plain, runtime: runtime).permissions
                #expect(try await Paths.status(of: path, runtime: runtime).permissions == expected)
            }
        }
    }

    /// Never an empty or partial file, neither under the name nor through open descriptors.
    @Test(arguments: engines)
    func readersFindOneWholeAtEveryInstant(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("file", Version.bytes(0)))
            try await withRuntime(engine) { runtime in
                let isDone = Flag()
                let writer = Task {
                    defer { isDone.set() }
                    for version in 1...100 {
                        try await Paths.replaceFile(path, Version.bytes(version), durability: .none, runtime: runtime)
                    }
                }
                var last = 0
                while !isDone.isSet {
                    let version = try #require(Version.of(try await Paths.readFile(path, runtime: runtime)))
                    #expect(version >= last)
                    last = version
                }
                try await writer.value
                #expect(Version.of(try scratch.content("file")) == 100)
            }
        }
    }

    // MARK: Preserved metadata

    @Test(arguments: engines)
    func rightsAndUserAttributesAreKept(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("file", [1]))
            try await withRuntime(engine) { runtime in
                try await Paths.setExtendedAttribute("user.origin", to: [9, 9], of: path, runtime: runtime)
                // The ACL lets another user write; the group and others have no access.
                try await Paths.setExtendedAttribute(accessList, to: oneMoreWriter, of: path, runtime: runtime)
                try await Paths.setPermissions(0o6760, of: path, runtime: runtime)
                let before = try await Paths.status(of: path, runtime: runtime)
                let list = try await Paths.extendedAttribute(accessList, of: path, runtime: runtime)
                try await Paths.replaceFile(path, [2], runtime: runtime)
                let after = try await Paths.status(of: path, runtime: runtime)
                #expect(after.inode != before.inode)
                #expect(after.permissions == 0o760)
                #expect(try await Paths.extendedAttribute("user.origin", of: path, runtime: runtime) == [9, 9])
                #expect(try await Paths.extendedAttribute(accessList, of: path, runtime: runtime) == list)
            }
        }
    }

    /// The folder's default ACL would grant access to users whom the replaced file did not admit.
    @Test(arguments: engines)
    func theFoldersAccessListLetsNobodyIn(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("file", [1]))
            try await withRuntime(engine) { runtime in
                try await Paths.setPermissions(0o660, of: path, runtime: runtime)
                let folder = Path(scratch.folder)
                try await Paths.setExtendedAttribute(
                    "system.posix_acl_default", to: oneMoreWriter, of: folder, runtime: runtime)
                try await Paths.replaceFile(path, [2], runtime: runtime)
                #expect(try await Paths.extendedAttribute(accessList, of: path, runtime: runtime) == nil)
                #expect(try await Paths.status(of: path, runtime: runtime).permissions == 0o660)
            }
        }
    }

    @Test(arguments: engines)
    func theOwnerIsKeptWhereTheCallerMaySetIt(_ engine: EngineKind) async throws {
        guard geteuid() == 0 else { try Test.cancel("\(skipped("only root gives files to others"))") }
        try await withScratch { scratch in
            let path = Path(try scratch.file("file", [1]))
            try await withRuntime(engine) { runtime in
                try await Paths.setOwner(of: path, userID: 1234, groupID: 2345, runtime: runtime)
                try await Paths.setPermissions(0o640, of: path, runtime: runtime)
                try await Paths.replaceFile(path, [2], runtime: runtime)
                let status = try await Paths.status(of: path, runtime: runtime)
                #expect(status.userID == 1234 && status.groupID == 2345 && status.permissions == 0o640)
            }
        }
    }

    /// Without privileges, attributes can be set only while the mode permits writing.
    @Test(.notSimulated(.process), arguments: engines.map(\.description))
    func aReadOnlyFileKeepsItsAttributes(_ name: String) async throws {
        guard geteuid() == 0 else { try Test.cancel("\(skipped("only root becomes another user"))") }
        try await withScratch { scratch in
            _ = try scratch.file("file", [1])
            #expect(chown(scratch.path("file"), 3333, 4444) == 0 && chmod(scratch.folder, 0o777) == 0)
            let folder = scratch.folder
            await #expect(processExitsWith: .success) { [name = name as String, folder = folder as String] in
                try #require(setgroups(0, nil) == 0 && setgid(4444) == 0 && setuid(3333) == 0)
                let engine = try #require(EngineKind(name))
                let path = Path(folder + "/file")
                try await withRuntime(engine) { runtime in
                    try await Paths.setExtendedAttribute("user.origin", to: [7], of: path, runtime: runtime)
                    for list in [nil, oneMoreWriter] {
                        if let list {
                            try await Paths.setExtendedAttribute(accessList, to: list, of: path, runtime: runtime)
                        }
                        try await Paths.setPermissions(0o440, of: path, runtime: runtime)
                        let before = try await Paths.extendedAttribute(accessList, of: path, runtime: runtime)
                        #expect((before == nil) == (list == nil))
                        try await Paths.replaceFile(path, [2], runtime: runtime)
                        #expect(try await Paths.status(of: path, runtime: runtime).permissions == 0o440)
                        #expect(try await Paths.extendedAttribute("user.origin", of: path, runtime: runtime) == [7])
                        #expect(try await Paths.extendedAttribute(accessList, of: path, runtime: runtime) == before)
                        try await Paths.setPermissions(0o640, of: path, runtime: runtime)
                    }
                    // A file that cannot be read can be replaced; but its ACL, and with it the group's permissions,
                    // cannot be read.
                    try await Paths.setPermissions(0o170, of: path, runtime: runtime)
                    try await Paths.replaceFile(path, [3], runtime: runtime)
                    #expect(try await Paths.status(of: path, runtime: runtime).permissions == 0o100)
                    #expect(try await Paths.extendedAttribute(accessList, of: path, runtime: runtime) == nil)
                }
            }
            #expect(try scratch.content("file") == [3])
            #expect(try scratch.names() == ["file"])
        }
    }

    /// The caller cannot give the file its old group, so the new group gets no more rights than others.
    @Test(.notSimulated(.process), arguments: engines.map(\.description))
    func whereTheGroupIsLostSoAreItsRights(_ name: String) async throws {
        guard geteuid() == 0 else { try Test.cancel("\(skipped("only root becomes another user"))") }
        try await withScratch { scratch in
            _ = try scratch.file("file", [1])
            #expect(chown(scratch.path("file"), 1234, 2345) == 0 && chmod(scratch.path("file"), 0o664) == 0)
            #expect(chmod(scratch.folder, 0o777) == 0)
            let folder = scratch.folder
            await #expect(processExitsWith: .success) { [name = name as String, folder = folder as String] in
                try #require(setgroups(0, nil) == 0 && setgid(4444) == 0 && setuid(3333) == 0)
                let engine = try #require(EngineKind(name))
                try await withRuntime(engine) { runtime in
                    try await Paths.replaceFile(Path(folder + "/file"), [2], runtime: runtime)
                }
            }
            var status = Glibc.stat()
            try #require(stat(scratch.path("file"), &status) == 0)
            #expect(status.st_uid == 3333 && status.st_gid == 4444 && status.st_mode & 0o7777 == 0o644)
            #expect(try scratch.content("file") == [2])
        }
    }

    @Test(arguments: engines)
    func otherNamesAndOpenFilesKeepTheOldContent(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("file", [1]))
            #expect(link(scratch.path("file"), scratch.path("other")) == 0)
            try await withRuntime(engine) { runtime in
                try await withFile(path, runtime: runtime) { file in
                    try await Paths.replaceFile(path, [2], runtime: runtime)
                    #expect(try await file.read(upTo: 9, at: 0) == [1])
                }
                #expect(try scratch.content("other") == [1])
                #expect(try scratch.content("file") == [2])
            }
        }
    }

    // MARK: Links

    @Test(arguments: engines)
    func aLinkIsFollowedOrReplacedItself(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            _ = try scratch.makeFolder("folder")
            defer {
                unlink(scratch.path("folder/file"))
                rmdir(scratch.path("folder"))
            }
            #expect(symlink("folder/one", scratch.path("link")) == 0)
            #expect(symlink("file", scratch.path("folder/one")) == 0)
            defer { unlink(scratch.path("folder/one")) }
            try await withRuntime(engine) { runtime in
                let link = Path(scratch.path("link"))
                // The link's target does not exist yet.
                for byte: UInt8 in 1...2 {
                    try await Paths.replaceFile(link, [byte], runtime: runtime)
                    #expect(try scratch.content("folder/file") == [byte])
                }
                #expect(try await Paths.readLink(link, runtime: runtime) == "folder/one")
                try await Paths.replaceFile(link, [3], followLinks: false, runtime: runtime)
                #expect(try await Paths.status(of: link, followLinks: false, runtime: runtime).isRegularFile)
                #expect(try scratch.content("link") == [3])
                #expect(try scratch.content("folder/file") == [2])
                #expect(symlink(scratch.path("round"), scratch.path("round")) == 0)
                let error = await expectError(.other) {
                    try await Paths.replaceFile(Path(scratch.path("round")), [4], runtime: runtime)
                }
                #expect(error?.errno?.rawValue == ELOOP)
                #expect(try scratch.names() == ["folder", "link", "round"])
                #expect(try scratch.names(in: "folder") == ["file", "one"])
            }
        }
    }

    @Test(arguments: engines)
    func whatIsNoFileIsRefused(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            try #require(mkfifo(scratch.path("fifo"), 0o600) == 0)
            _ = try scratch.file("file")
            try await withRuntime(engine, { $0.workerLimit = 1 }) { runtime in
                for path in [Path(scratch.path("fifo")), "/dev/null"] {
                    let error = await expectError(.invalidArgument) {
                        try await Paths.replaceFile(path, [1], runtime: runtime)
                    }
                    #expect(error?.path == path && error?.operation == "replace" && error?.advice != nil)
                }
                await expectError(.isDirectory) {
                    try await Paths.replaceFile(Path(scratch.folder), [1], runtime: runtime)
                }
                await expectError(.isDirectory) {
                    try await Paths.replaceFile(Path(scratch.path("new/")), [1], runtime: runtime)
                }
                await expectError(.invalidArgument) { try await Paths.replaceFile("/tmp/..", [1], runtime: runtime) }
                await expectError(.invalidArgument) { try await Paths.replaceFile("", [1], runtime: runtime) }
                await expectError(.notFound) {
                    try await Paths.replaceFile(Path(scratch.path("missing/file")), [1], runtime: runtime)
                }
                await expectError(.notDirectory) {
                    try await Paths.replaceFile(Path(scratch.path("file/file")), [1], runtime: runtime)
                }
            }
            #expect(try scratch.names() == ["fifo", "file"])
        }
    }

    @Test(arguments: engines, unusualNames)
    func namesOfAnyBytesAreReplaced(_ engine: EngineKind, _ name: [UInt8]) async throws {
        try await withScratch { scratch in
            let path = scratch.path(bytes: name)
            try await withRuntime(engine) { runtime in
                for byte: UInt8 in 1...2 { try await Paths.replaceFile(path, [byte], runtime: runtime) }
                #expect(try await Paths.readFile(path, runtime: runtime) == [2])
                try await Paths.unlink(path, runtime: runtime)
            }
            #expect(try scratch.names() == [])
        }
    }

    // MARK: Streaming

    @Test(arguments: engines, [Durability.full, .data, .none])
    func whatABodyWritesTakesTheName(_ engine: EngineKind, _ durability: Durability) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("file", [1]))
            let bytes = content.bytes(count: 700_000, at: 0)
            try await withRuntime(engine) { runtime in
                let count = try await Paths.replaceFile(path, durability: durability, runtime: runtime) { file in
                    try await file.writeAll(bytes, at: 0)
                    #expect(try await file.readExactly(count: 10, at: 5) == Array(bytes[5..<15]))
                    #expect(try scratch.content("file") == [1])
                    try await file.setPermissions(0o604)
                    return bytes.count
                }
                #expect(count == bytes.count)
                #expect(try scratch.content("file") == bytes)
                #expect(try await Paths.status(of: path, runtime: runtime).permissions == 0o604)
                #expect(try scratch.names() == ["file"])
            }
        }
    }

    @Test(arguments: engines)
    func aBodyThatThrowsOrClosesOrIsCancelledChangesNothing(_ engine: EngineKind) async throws {
        struct Told: Error {}
        try await withScratch { scratch in
            let path = Path(try scratch.file("file", [1]))
            try await withRuntime(engine) { runtime in
                await #expect(throws: Told.self) {
                    try await Paths.replaceFile(path, runtime: runtime) { file in
                        try await file.writeAll([2], at: 0)
                        throw Told()
                    }
                }
                await expectError(.fileClosed) {
                    try await Paths.replaceFile(path, runtime: runtime) { try await $0.close() }
                }
                for durability in [Durability.full, .none] {
                    let isWritten = Flag()
                    let task = Task {
                        try await Paths.replaceFile(path, durability: durability, runtime: runtime) { file in
                            try await file.writeAll([3], at: 0)
                            isWritten.set()
                            while !Task.isCancelled { await Task.yield() }
                        }
                    }
                    try await eventually { isWritten.isSet }
                    task.cancel()
                    await expectError(.cancelled) { try await task.value }
                }
                #expect(try scratch.content("file") == [1])
                #expect(try scratch.names() == ["file"])
            }
        }
    }

    /// The loops have ended, so the cleanup runs on the caller's thread.
    @Test(arguments: engines)
    func aRuntimeThatEndsMeanwhileLeavesNothingBehind(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("file", [1]))
            try await withRuntime(engine) { runtime in
                _ = await expectError(.runtimeShutDown) {
                    try await Paths.replaceFile(path, durability: .none, runtime: runtime) { file in
                        try await file.writeAll([2], at: 0)
                        await runtime.shutdown()
                    }
                }
            }
            #expect(try scratch.content("file") == [1])
            #expect(try scratch.names() == ["file"])
        }
    }

    // MARK: In a folder

    @Test(arguments: engines)
    func inAFolderNothingOutsideIsReplaced(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            _ = try scratch.file("outside", [1])
            _ = try scratch.makeFolder("folder")
            defer { rmdir(scratch.path("folder")) }
            #expect(symlink("../outside", scratch.path("folder/link")) == 0)
            #expect(symlink("..", scratch.path("folder/up")) == 0)
            try await withRuntime(engine) { runtime in
                try await withFile(Path(scratch.path("folder")), options: .directory, runtime: runtime) { folder in
                    try await Paths.replaceFile("file", in: folder, [2])
                    #expect(try scratch.content("folder/file") == [2])
                    for path: Path in ["../outside", "up/outside", Path(scratch.path("outside"))] {
                        let error = await expectError(.other) { try await Paths.replaceFile(path, in: folder, [3]) }
                        #expect(error?.errno?.rawValue == EXDEV && error?.path == path)
                    }
                    // The link is replaced, its target is unchanged.
                    try await Paths.replaceFile("link", in: folder, [4])
                    #expect(try scratch.content("folder/link") == [4])
                    #expect(try scratch.content("outside") == [1])
                    for name: Path in ["file", "link", "up"] { try await Paths.unlink(name, in: folder) }
                }
                #expect(try scratch.names(in: "folder") == [])
            }
        }
    }
}

private let accessList: AttributeName = "system.posix_acl_access"

/// An access ACL as in acl(5) and xattr(7), version 2: user rwx, one more user rw-, group ---, mask rw-, others ---.
private let oneMoreWriter: [UInt8] =
    [2, 0, 0, 0] + entry(0x01, 7) + entry(0x02, 6, 4321) + entry(0x04, 0) + entry(0x10, 6) + entry(0x20, 0)

private func entry(_ tag: UInt8, _ rights: UInt8, _ user: UInt16? = nil) -> [UInt8] {
    // Little-endian; all ones if the entry names no user.
    let number = user.map(UInt32.init) ?? .max
    return [tag, 0, rights, 0] + (0..<4).map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) }
}
