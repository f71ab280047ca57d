import AIO
import AIOCore
import CKernel
import Glibc
import Testing
import UnitSupport

/// Operations that create and remove names, as plain values and through `FileSystem`.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct NamingTests {
    /// A path in the form that an operation points at.
    private final class CPath {
        let pointer: UnsafeMutablePointer<CChar>
        init(_ path: String) { pointer = strdup(path) }
        deinit { free(pointer) }
    }

    @Test(arguments: ways)
    func namesAreGivenAndTakenAway(_ way: Way) async throws {
        try await withScratch { scratch in
            let one = CPath(try scratch.file("one", [1]))
            let two = CPath(scratch.path("two"))
            let folder = CPath(scratch.path("folder"))
            let here = CK_AT_FDCWD
            try await way.run { performer in
                try await performer.expect(
                    .link(directory: here, path: one.pointer, newDirectory: here, newPath: two.pointer, flags: 0),
                    completesWith: 0)
                #expect(try scratch.content("two") == [1])
                await performer.expect(
                    .rename(
                        directory: here, path: one.pointer, newDirectory: here, newPath: two.pointer,
                        flags: CK_RENAME_NOREPLACE), failsWith: EEXIST)
                try await performer.expect(
                    .unlink(directory: here, path: one.pointer, flags: 0), completesWith: 0)
                try await performer.expect(
                    .rename(directory: here, path: two.pointer, newDirectory: here, newPath: one.pointer, flags: 0),
                    completesWith: 0)
                #expect(scratch.has("one") && !scratch.has("two"))
                try await performer.expect(
                    .symbolicLink(target: one.pointer, directory: here, path: two.pointer), completesWith: 0)
                #expect(try scratch.content("two") == [1])
                try await performer.expect(
                    .makeDirectory(directory: here, path: folder.pointer, permissions: 0o700), completesWith: 0)
                await performer.expect(.unlink(directory: here, path: folder.pointer, flags: 0), failsWith: EISDIR)
                try await performer.expect(
                    .unlink(directory: here, path: folder.pointer, flags: CK_AT_REMOVEDIR), completesWith: 0)
                await performer.expect(.unlink(directory: here, path: folder.pointer, flags: 0), failsWith: ENOENT)
            }
            withExtendedLifetime((one, two, folder)) {}
        }
    }

    @Test(arguments: ways)
    func aCallCompletesWithItsValueOrErrno(_ way: Way) async throws {
        try await withScratch { scratch in
            let link = CPath(scratch.path("link"))
            #expect(symlink("target", link.pointer) == 0)
            let memory = Memory(count: 100)
            let missing = CPath(scratch.path("missing"))
            try await way.run { performer in
                try await performer.expect(
                    .call(.readLink(directory: CK_AT_FDCWD, path: link.pointer, buffer: memory.base, count: 100)),
                    completesWith: 6)
                #expect(memory.bytes.prefix(6) == Array("target".utf8)[...])
                await performer.expect(
                    .call(.readLink(directory: CK_AT_FDCWD, path: missing.pointer, buffer: memory.base, count: 100)),
                    failsWith: ENOENT)
                await performer.expect(.call(.setPermissions(-1, permissions: 0)), failsWith: EBADF)
            }
            withExtendedLifetime((link, missing)) {}
        }
    }

    @Test(arguments: ways)
    func aPositionBeyondThirtyTwoBitsIsStored(_ way: Way) async throws {
        try await withScratch { scratch in
            let descriptor = try openDescriptor(try scratch.file("sparse"), O_RDWR)
            defer { closeDescriptor(descriptor) }
            let size = Int64(5) << 32
            try #require(ftruncate(descriptor, Int(size)) == 0)
            let position = UnsafeMutablePointer<Int64>.allocate(capacity: 1)
            defer { position.deallocate() }
            position.initialize(to: 0)
            try await way.run { performer in
                try await performer.expect(
                    .call(.seek(descriptor, offset: 0, from: SEEK_END, position: position)), completesWith: 0)
            }
            #expect(position.pointee == size)
        }
    }

    // MARK: FileSystem

    @Test(arguments: engines)
    func renameReplacesExchangesOrRefuses(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let one = Path(try scratch.file("one", [1]))
            let two = Path(try scratch.file("two", [2]))
            let (first, second) = (scratch.path("one"), scratch.path("two"))
            let here = Int(CK_AT_FDCWD)
            for _ in 0..<2 {
                let exchanged = first.withCString { first in
                    second.withCString { second in
                        SystemCall.call(CK_NR_renameat2, here, address(first), here, address(second), 2)
                    }
                }
                guard exchanged == 0 else {
                    try Test.cancel("\(skipped("\(testDirectory) knows no RENAME_EXCHANGE: errno \(-exchanged)"))")
                }
            }
            try await withRuntime(engine) { runtime in
                let error = await expectError(.alreadyExists) {
                    try await Paths.rename(one, to: two, options: .noReplace, runtime: runtime)
                }
                #expect(error?.path == one && error?.operation == "rename")
                #expect(error?.description.contains("\(two)") == true)
                try await Paths.rename(one, to: two, options: .exchange, runtime: runtime)
                #expect(try scratch.content("one") == [2])
                #expect(try scratch.content("two") == [1])
                try await Paths.rename(one, to: two, runtime: runtime)
                #expect(try scratch.content("two") == [2])
                await expectError(.notFound) { try await Paths.rename(one, to: two, runtime: runtime) }
            }
        }
    }

    @Test(arguments: engines)
    func linksLeadWhereTheySay(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let file = Path(try scratch.file("file", [1, 2]))
            try await withRuntime(engine) { runtime in
                let symbolic = Path(scratch.path("symbolic"))
                try await Paths.makeSymbolicLink(at: symbolic, to: "file", runtime: runtime)
                #expect(try await Paths.readLink(symbolic, runtime: runtime) == "file")
                try await Paths.link(file, to: Path(scratch.path("hard")), runtime: runtime)
                let status = try await Paths.status(of: symbolic, runtime: runtime)
                #expect(status.linkCount == 2 && status.size == 2)
                let own = try await Paths.status(of: symbolic, followLinks: false, runtime: runtime)
                #expect(own.isSymbolicLink && own.size == 4)
                let error = await expectError(.invalidArgument) { try await Paths.readLink(file, runtime: runtime) }
                #expect(error?.path == file && error?.operation == "readlink")
                // The target is not truncated.
                let long = Path(String(repeating: "x", count: 4095))
                try await Paths.makeSymbolicLink(at: Path(scratch.path("long")), to: long, runtime: runtime)
                #expect(try await Paths.readLink(Path(scratch.path("long")), runtime: runtime) == long)
            }
        }
    }

    @Test(arguments: engines, unusualNames)
    func namesOfAnyBytesArePassedAsTheyAre(_ engine: EngineKind, _ name: [UInt8]) async throws {
        try await withScratch { scratch in
            let path = scratch.path(bytes: name)
            let other = Path(scratch.path("other"))
            try await withRuntime(engine) { runtime in
                try await Paths.writeFile(path, [7], runtime: runtime)
                #expect(try await Paths.readFile(path, runtime: runtime) == [7])
                try await Paths.makeSymbolicLink(at: other, to: path, runtime: runtime)
                #expect(try await Paths.readLink(other, runtime: runtime) == path)
                try await Paths.unlink(other, runtime: runtime)
                try await Paths.rename(path, to: other, runtime: runtime)
                await expectError(.notFound) { try await Paths.status(of: path, runtime: runtime) }
                try await Paths.makeDirectory(path, runtime: runtime)
                try await Paths.removeDirectory(path, runtime: runtime)
            }
        }
    }

    @Test(arguments: engines)
    func aNULInAPathIsRefused(_ engine: EngineKind) async throws {
        let path = Path(bytes: [UInt8(ascii: "/"), 0, 65])
        try await withRuntime(engine) { runtime in
            await expectError(.invalidArgument) { try await Paths.unlink(path, runtime: runtime) }
            await expectError(.invalidArgument) { try await Paths.rename("/", to: path, runtime: runtime) }
            await expectError(.invalidArgument) { try await Paths.readFile(path, runtime: runtime) }
            await expectError(.invalidArgument) { try await Paths.removeRecursively(path, runtime: runtime) }
            await expectError(.invalidArgument) { try await Paths.extendedAttributes(of: path, runtime: runtime) }
            await expectError(.invalidArgument) {
                try await Paths.makeDirectory(path, withParents: true, runtime: runtime)
            }
        }
    }

    @Test(arguments: engines)
    func parentsAreMadeWhereTheyAreMissing(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            _ = try scratch.file("file")
            try await withRuntime(engine) { runtime in
                let deep = Path(scratch.path("a//b/c/"))
                await expectError(.notFound) { try await Paths.makeDirectory(deep, runtime: runtime) }
                // Twice: existing folders are fine.
                for _ in 0..<2 { try await Paths.makeDirectory(deep, withParents: true, runtime: runtime) }
                #expect(try await Paths.status(of: deep, runtime: runtime).isDirectory)
                await expectError(.alreadyExists) { try await Paths.makeDirectory(deep, runtime: runtime) }
                let file = Path(scratch.path("file"))
                let error = await expectError(.alreadyExists) {
                    try await Paths.makeDirectory(file, withParents: true, runtime: runtime)
                }
                #expect(error?.path == file && error?.operation == "mkdir")
                await expectError(.notDirectory) {
                    try await Paths.makeDirectory(Path(scratch.path("file/a/b")), withParents: true, runtime: runtime)
                }
                try await Paths.removeRecursively(Path(scratch.path("a")), runtime: runtime)
            }
        }
    }

    /// The umask is the process's.
    @Test(.notSimulated(.process), arguments: engines.map(\.description))
    func theOwnerMayUseTheParentsWhateverTheUmask(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            try await withTreeScratch { scratch in
                try #require(chmod(scratch.folder, 0o777) == 0)
                try await withRuntime(try #require(EngineKind(name))) { runtime in
                    if geteuid() == 0 { try becomeNobody() }
                    umask(0o777)
                    try await Paths.makeDirectory(
                        Path(scratch.path("a/b/c")), permissions: 0o750, withParents: true, runtime: runtime)
                    #expect(try permissions(scratch.path("a")) == 0o300)
                    #expect(try permissions(scratch.path("a/b")) == 0o300)
                    #expect(try permissions(scratch.path("a/b/c")) == 0)
                    umask(0o027)
                    // What is there keeps what it has.
                    try await Paths.makeDirectory(
                        Path(scratch.path("a/d/e")), permissions: 0o555, withParents: true, runtime: runtime)
                    #expect(try permissions(scratch.path("a")) == 0o300)
                    #expect(try permissions(scratch.path("a/d")) == 0o750)
                    #expect(try permissions(scratch.path("a/d/e")) == 0o550)
                }
                if getuid() == 0 { try #require(seteuid(0) == 0) }
            }
        }
    }

    /// The umask is the process's.
    @Test(.notSimulated(.process), arguments: engines.map(\.description))
    func theOwnerMayUseATemporaryDirectoryWhateverTheUmask(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            try await withTreeScratch { scratch in
                try #require(chmod(scratch.folder, 0o777) == 0)
                try await withRuntime(try #require(EngineKind(name))) { runtime in
                    if geteuid() == 0 { try becomeNobody() }
                    for mask in [0o777, 0o700, 0o277, 0o022] as [mode_t] {
                        umask(mask)
                        let path = try await withTemporaryDirectory(in: Path(scratch.folder), runtime: runtime) {
                            path in
                            #expect(try permissions("\(path)") == 0o700)
                            try await Paths.writeFile(path / "file", [1], runtime: runtime)
                            return path
                        }
                        await expectError(.notFound) { try await Paths.status(of: path, runtime: runtime) }
                    }
                }
                if getuid() == 0 { try #require(seteuid(0) == 0) }
            }
        }
    }

    @Test(arguments: engines)
    func aCancelledTaskDoesNothing(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("kept", [1]))
            try await withRuntime(engine) { runtime in
                let task = Task {
                    while !Task.isCancelled { await Task.yield() }
                    await expectError(.cancelled) { try await Paths.unlink(path, runtime: runtime) }
                    await expectError(.cancelled) { try await Paths.removeRecursively(path, runtime: runtime) }
                    await expectError(.cancelled) { try await Paths.readFile(path, runtime: runtime) }
                }
                task.cancel()
                await task.value
                await expectError(.deadlineExceeded) {
                    try await Paths.readFile(path, runtime: runtime, deadline: .now + .seconds(-1))
                }
            }
            #expect(try scratch.content("kept") == [1])
        }
    }
}

private func permissions(_ path: String) throws -> UInt32 {
    var status = Glibc.stat()
    try #require(lstat(path, &status) == 0, "\(path): errno \(errno)")
    return status.st_mode & 0o7777
}
