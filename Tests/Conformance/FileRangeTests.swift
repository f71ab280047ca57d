import AIO
import Glibc
import Testing
import UnitSupport

/// Holes, locks, unnamed files, and confined opens.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct FileRangeTests {
    @Test(arguments: engines)
    func holesAreMadeAndFound(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("file", [UInt8](repeating: 9, count: 3 * 65536)))
            try await withRuntime(engine) { runtime in
                try await withFile(path, .readWrite, runtime: runtime) { file in
                    try await file.sync()
                    try await file.punchHole(range: 65536..<131_072)
                    #expect(try await file.readExactly(count: 65536, at: 65536).allSatisfy { $0 == 0 })
                    #expect(try await file.read(upTo: 2, at: 65535) == [9, 0])
                    #expect(try await file.nextHole(from: 0) == 65536)
                    #expect(try await file.nextData(from: 65536) == 131_072)
                    #expect(try await file.nextData(from: 10) == 10)
                    // The end of the file counts as a hole; beyond it there is none.
                    #expect(try await file.nextHole(from: 131_072) == 196_608)
                    #expect(try await file.nextHole(from: 196_608) == nil)
                    #expect(try await file.nextData(from: 1 << 40) == nil)
                    await expectError(.invalidArgument) { try await file.nextData(from: -1) }
                    try await file.truncate(to: 5 << 32)
                    #expect(try await file.nextData(from: 196_608) == nil)
                    #expect(try await file.nextHole(from: 3 << 32) == 3 << 32)
                }
            }
        }
    }

    @Test(arguments: engines)
    func aZeroedRangeReadsAsZerosAndMayGrowTheFile(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("file", [UInt8](repeating: 9, count: 10_000)))
            try await withRuntime(engine) { runtime in
                try await withFile(path, .readWrite, runtime: runtime) { file in
                    do {
                        try await file.zeroRange(5000..<15_000, keepSize: true)
                    } catch let error as IOError where error.code == .notSupported {
                        try Test.cancel("\(skipped("\(error)"))")
                    }
                    var size = try await file.status().size
                    #expect(size == 10_000)
                    #expect(try await file.read(upTo: 3, at: 4998) == [9, 9, 0])
                    try await file.zeroRange(9000..<12_000)
                    size = try await file.status().size
                    #expect(size == 12_000)
                }
            }
        }
    }

    @Test(arguments: engines)
    func aClosedFileRefusesAllOfIt(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("closed", [1]))
            try await withRuntime(engine) { runtime in
                let file = try await File.open(path, .readWrite, runtime: runtime)
                try await file.close()
                await expectError(.fileClosed) { try await file.punchHole(range: 0..<1) }
                await expectError(.fileClosed) { try await file.nextData(from: 0) }
                await expectError(.fileClosed) { try await file.lock() }
                await expectError(.fileClosed) { try await file.unlock() }
                await expectError(.fileClosed) { try await file.setTimes(access: .now) }
                await expectError(.fileClosed) { try await file.setPermissions(0) }
                await expectError(.fileClosed) { try await file.setOwner() }
                await expectError(.fileClosed) { try await file.extendedAttribute("user.a") }
                await expectError(.fileClosed) { try await file.setExtendedAttribute("user.a", to: []) }
                await expectError(.fileClosed) { try await file.fileSystemStatistics() }
                await expectError(.fileClosed) { try await file.link(to: Path(scratch.path("new"))) }
            }
            #expect(!scratch.has("new"))
        }
    }

    // MARK: Locks

    @Test(arguments: engines)
    func locksOfTwoOpenFilesExcludeEachOther(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("file"))
            try await withRuntime(engine) { runtime in
                try await withFile(path, .readWrite, runtime: runtime) { one in
                    try await withFile(path, .readWrite, runtime: runtime) { two in
                        try await one.lock(.exclusive, range: 0..<100)
                        #expect(try await two.tryLock(.shared, range: 99..<200) == false)
                        #expect(try await two.tryLock(.exclusive, range: 100..<200))
                        #expect(try await one.tryLock(.shared) == false)
                        // A file's own locks conflict only with those of others.
                        #expect(try await one.tryLock(.shared, range: 0..<100))
                        #expect(try await two.tryLock(.shared, range: 0..<100))
                        #expect(try await two.tryLock(.exclusive, range: 0..<100) == false)
                        try await one.unlock(range: 0..<50)
                        #expect(try await two.tryLock(.exclusive, range: 0..<50))
                        try await two.unlock()
                        #expect(try await one.tryLock(.exclusive))
                    }
                }
            }
        }
    }

    @Test(arguments: engines)
    func aWaitForALockEndsWhenItIsGivenUp(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("file"))
            try await withRuntime(engine) { runtime in
                let holder = try await File.open(path, .readWrite, runtime: runtime)
                try await holder.lock()
                let waiter = try await File.open(path, .readWrite, runtime: runtime)
                await expectError(.deadlineExceeded) { try await waiter.lock(.shared, deadline: .soon) }
                let cancelled = Task { try await waiter.lock(.shared) }
                try await eventually { runtime.inFlightCount > 0 }
                cancelled.cancel()
                let error = await expectError(.cancelled) { try await cancelled.value }
                #expect(error?.path == path && error?.operation == "lock")
                let waiting = Task { try await waiter.lock(.exclusive) }
                try await eventually { runtime.inFlightCount > 0 }
                // Closing releases the lock.
                try await holder.close()
                try await waiting.value
                try await waiter.close()
            }
        }
    }

    @Test(arguments: engines)
    func manyThatWaitForALockAllGetIt(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("file"))
            try await withRuntime(engine, { $0.workerLimit = 1 }) { runtime in
                let inside = Counter()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<8 {
                        group.addTask {
                            try await withFile(path, .readWrite, runtime: runtime) { file in
                                try await file.lock()
                                let before = inside.count
                                await Task.yield()
                                #expect(inside.count == before)
                                inside.increment()
                                try await file.unlock()
                            }
                        }
                    }
                    try await group.waitForAll()
                }
                #expect(inside.count == 8)
            }
        }
    }

    @Test(arguments: engines)
    func aLockThatMakesNoSenseIsRefused(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("file"))
            try await withRuntime(engine) { runtime in
                try await withFile(path, .read, runtime: runtime) { file in
                    await expectError(.invalidArgument) { try await file.lock(.shared, range: 5..<5) }
                    await expectError(.invalidArgument) { try await file.lock(.shared, range: -1..<5) }
                    await expectError(.badDescriptor) { try await file.lock(.exclusive) }
                }
            }
        }
    }

    /// The kernel takes a length of 0 for "to the end of the file", which an empty range does not mean.
    @Test(arguments: engines, [5..<5, -1..<5, Int64.min..<Int64.max, Int64.max..<Int64.max] as [Range<Int64>])
    func aRangeWithoutBytesOrBeforeTheFileIsRefused(_ engine: EngineKind, _ range: Range<Int64>) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("file", [1, 2, 3, 4, 5, 6]))
            try await withRuntime(engine) { runtime in
                try await withFile(path, .readWrite, runtime: runtime) { file in
                    await expectError(.invalidArgument) { try await file.allocate(range: range) }
                    await expectError(.invalidArgument) { try await file.punchHole(range: range) }
                    await expectError(.invalidArgument) { try await file.zeroRange(range) }
                    await expectError(.invalidArgument) { try await file.syncRange(range) }
                    await expectError(.invalidArgument) { try await file.advise(.dontNeed, range: range) }
                    await expectError(.invalidArgument) { try await file.tryLock(range: range) }
                    let error = await expectError(.invalidArgument) { try await file.unlock(range: range) }
                    #expect(error?.path == path)
                }
            }
            #expect(try scratch.content("file") == [1, 2, 3, 4, 5, 6])
        }
    }

    @Test(arguments: engines)
    func aRangeWithoutAnEndReachesBeyondWhatIsAddedLater(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("file", [1, 2, 3]))
            try await withRuntime(engine) { runtime in
                try await withFile(path, .readWrite, runtime: runtime) { one in
                    try await withFile(path, .readWrite, runtime: runtime) { two in
                        for range in [1..<Int64.max, 0..<Int64.max] as [Range<Int64>] {
                            try await one.lock(range: range)
                            #expect(try await two.tryLock(range: 1 << 40..<1 << 41) == false)
                            #expect(try await two.tryLock(range: Int64.max - 1..<Int64.max) == false)
                            try await one.unlock(range: range)
                            #expect(try await two.tryLock())
                            try await two.unlock()
                        }
                        try await one.syncRange(1..<Int64.max)
                        try await one.advise(.sequential, range: 1..<Int64.max)
                    }
                }
            }
        }
    }

    // MARK: Unnamed files

    @Test(arguments: engines)
    func aTemporaryFileHasNoNameUntilItIsGivenOne(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            try await withRuntime(engine) { runtime in
                let file: File
                do {
                    file = try await File.temporary(in: Path(scratch.folder), runtime: runtime)
                } catch let error as IOError where error.code == .notSupported {
                    try Test.cancel("\(skipped("\(error)"))")
                }
                try await file.writeAll([1, 2, 3], at: 0)
                let path = Path(scratch.path("named"))
                #expect(try await file.status().linkCount == 0)
                try await file.link(to: path)
                #expect(try scratch.content("named") == [1, 2, 3])
                await expectError(.alreadyExists) { try await file.link(to: path) }
                let missing = Path(scratch.path("no/such"))
                let error = await expectError(.notFound) { try await file.link(to: missing) }
                #expect(error?.path == missing)
                #expect(try await file.status().permissions & 0o077 == 0)
                try await file.close()
            }
        }
    }

    @Test(arguments: engines)
    func aTemporaryDirectoryIsGoneAfterwards(_ engine: EngineKind) async throws {
        struct Unhappy: Error {}
        try await withScratch { scratch in
            let folder = Path(scratch.folder)
            try await withRuntime(engine) { runtime in
                await #expect(throws: Unhappy.self) {
                    try await withTemporaryDirectory(in: folder, runtime: runtime) { path in
                        try await Paths.writeFile(Path("\(path)/file"), [1], runtime: runtime)
                        throw Unhappy()
                    }
                }
                let path = try await withTemporaryDirectory(in: folder, runtime: runtime) { path in
                    let status = try await Paths.status(of: path, runtime: runtime)
                    #expect(status.isDirectory && status.permissions == 0o700)
                    return path
                }
                await expectError(.notFound) { try await Paths.status(of: path, runtime: runtime) }
            }
            // If a temporary directory were left, removing the scratch folder would fail.
        }
    }

    // MARK: Confined opens

    @Test(arguments: engines)
    func aConfinedOpenDoesNotLeaveItsFolder(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            _ = try scratch.file("secret", [1])
            let root = try scratch.makeFolder("root")
            _ = try scratch.file("root/public", [2])
            #expect(symlink("../secret", root + "/out") == 0)
            #expect(symlink("/public", root + "/absolute") == 0)
            #expect(symlink("public", root + "/inner") == 0)
            try await withRuntime(engine) { runtime in
                try await withFile(Path(root), options: .directory, runtime: runtime) { folder in
                    func content(_ path: Path, _ confinement: File.Confinement = .beneath) async throws -> [UInt8] {
                        let file = try await File.open(path, in: folder, confinement: confinement)
                        let content = try await file.read(upTo: 1, at: 0)
                        try await file.close()
                        return content
                    }
                    #expect(try await content("public") == [2])
                    #expect(try await content("inner") == [2])
                    for path in ["../secret", "out", "absolute", Path(scratch.path("secret"))] as [Path] {
                        let error = await expectError(.other) { try await content(path) }
                        #expect(error?.errno?.rawValue == EXDEV && error?.path == path)
                    }
                    #expect(try await content("absolute", .inRoot) == [2])
                    await expectError(.notFound) { try await content("out", .inRoot) }
                    let link = await expectError(.other) { try await content("inner", [.beneath, .noSymbolicLinks]) }
                    #expect(link?.errno?.rawValue == ELOOP)
                    // Without confinement the folder is only where the path starts.
                    #expect(try await content("../secret", []) == [1])
                    let made = try await File.open("made", in: folder, .write, options: [.create, .exclusive])
                    try await made.close()
                }
                try await Paths.removeRecursively(Path(root), runtime: runtime)
            }
        }
    }

    @Test(arguments: engines)
    func aClosedFolderOpensNothing(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            let folder = try await File.open(Path(testDirectory), options: .directory, runtime: runtime)
            try await folder.close()
            await expectError(.fileClosed) { try await File.open("file", in: folder) }
        }
    }
}
