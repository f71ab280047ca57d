import AIO
import CKernel
import Glibc
import Testing
import UnitSupport

/// Copies of files and trees.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct CopyTests {
    private let content = KnownContent(seed: 4711)

    private func status(_ path: String) throws -> Glibc.stat {
        var status = Glibc.stat()
        try #require(lstat(path, &status) == 0, "\(path): errno \(errno)")
        return status
    }

    /// Temporary names, which only a killed copy may leave behind.
    private func leftovers(in folder: String) async throws -> [String] {
        try await items(of: Paths.walk(Path(folder))).entries
            .map { String(decoding: $0.path.bytes, as: UTF8.self) }.filter { $0.contains(".aio-copy-") }
    }

    /// Every kind of file, unusual names, hard links, and old timestamps.
    private func makeTree(_ scratch: Scratch) throws -> String {
        let tree = try scratch.makeFolder("tree")
        for name in ["a", "a/b", "a/b/c", "empty"] { _ = try scratch.makeFolder("tree/\(name)") }
        for (index, size) in [0, 1, 4095, 65536, 65537, 1 << 20, 5 << 20].enumerated() {
            _ = try scratch.file("tree/a/\(index)", content.bytes(count: size, at: Int64(index)))
        }
        for name in unusualNames {
            for folder in ["", "a/b/"] {
                let path = Array("\(tree)/\(folder)".utf8) + name + [0]
                let descriptor = path.withUnsafeBytes {
                    Glibc.open(
                        $0.baseAddress!.assumingMemoryBound(to: CChar.self), O_CREAT | O_WRONLY | O_CLOEXEC, 0o644)
                }
                try #require(descriptor >= 0 && Glibc.write(descriptor, path, path.count) == path.count)
                closeDescriptor(descriptor)
            }
        }
        try #require(link(tree + "/a/5", tree + "/a/b/same") == 0 && link(tree + "/a/5", tree + "/same") == 0)
        try #require(symlink("../none", tree + "/a/link") == 0 && symlink("a", tree + "/folder-link") == 0)
        try #require(mkfifo(tree + "/fifo", 0o640) == 0)
        try #require(chmod(tree + "/a/1", 0o4751) == 0 && chmod(tree + "/empty", 0o1755) == 0)
        for name in ["a/1", "a/link", "a/b", "", "fifo"] {
            var times = [timespec(tv_sec: 1_000_000, tv_nsec: 5), timespec(tv_sec: 2_000_000, tv_nsec: 7)]
            try #require(utimensat(AT_FDCWD, "\(tree)/\(name)", &times, AT_SYMLINK_NOFOLLOW) == 0)
        }
        return tree
    }

    private func expectSame(_ tree: String, _ copy: String) async throws {
        #expect(runs(["diff", "-r", "--no-dereference", "--exclude=fifo", forOthers(tree), forOthers(copy)]))
        let (entries, failures) = try await items(of: Paths.walk(Path(tree)))
        #expect(failures.isEmpty)
        for entry in entries {
            let name = entry.path.bytes.dropFirst(tree.utf8.count)
            let (left, right) = try await (
                Paths.status(of: entry.path, followLinks: false),
                Paths.status(of: Path(bytes: Array(copy.utf8) + name), followLinks: false)
            )
            #expect(left.mode == right.mode && left.userID == right.userID, "\(entry.path)")
            #expect(left.modificationTime == right.modificationTime, "\(entry.path)")
            #expect(left.isDirectory || left.linkCount == right.linkCount, "\(entry.path)")
        }
        #expect(try await leftovers(in: copy) == [])
    }

    @Test(arguments: engines)
    func aTreeIsCopiedWithAllThatIsInIt(_ engine: EngineKind) async throws {
        try await withTreeScratch { scratch in
            let tree = try makeTree(scratch)
            try await withRuntime(engine) { runtime in
                let progress = CopyProgress()
                let copy = scratch.path("copy")
                let summary = try await Paths.copy(
                    Path(tree), to: Path(copy), progress: progress, runtime: runtime
                ) { Issue.record("\($0)") }
                #expect(summary.failures == 0 && summary.directories == 5)
                #expect(summary.files == 7 + 2 * unusualNames.count + 2 + 2 + 1 && progress.files == summary.files)
                #expect(summary.bytes >= 6 << 20 && progress.bytes == summary.bytes)
                try await expectSame(tree, copy)
                // Once more, onto the existing copy.
                let again = try await Paths.copy(Path(tree), to: Path(copy), runtime: runtime)
                #expect(again.failures == 0 && again.files == summary.files)
                try await expectSame(tree, copy)
            }
        }
    }

    @Test(arguments: engines)
    func copiesThatShareTheirProgressCountTheirOwnBytes(_ engine: EngineKind) async throws {
        try await withTreeScratch { scratch in
            let tree = try scratch.makeFolder("tree")
            for (name, size) in [("tree/a", 100), ("tree/b", 20), ("file", 3000), ("large", 5 << 20)] {
                _ = try scratch.file(name, content.bytes(count: size, at: 0))
            }
            let progress = CopyProgress()
            try await withRuntime(engine) { runtime in
                for _ in 0..<2 {
                    for (name, size) in [("tree", 120), ("file", 3000), ("large", 5 << 20)] {
                        let summary = try await Paths.copy(
                            Path(scratch.path(name)), to: Path(scratch.path("copy-\(name)")), progress: progress,
                            runtime: runtime)
                        #expect(summary.bytes == size, "\(name)")
                    }
                }
            }
            #expect(progress.bytes == 2 * (120 + 3000 + 5 << 20) && progress.files == 8 && !tree.isEmpty)
        }
    }

    /// With shared blocks where the file system supports that, and to another file system.
    @Test(arguments: [FileSystem.tmpfs, .ext4, .xfs, .btrfs], [true, false])
    func treesAreCopiedWithinAndBetweenFileSystems(_ fileSystem: FileSystem, _ sharesBlocks: Bool) async throws {
        try await withTreeScratch(on: fileSystem) { scratch in
            let tree = try makeTree(scratch)
            var options = CopyOptions()
            options.sharesBlocks = sharesBlocks
            options.sync = true
            try await Paths.copy(Path(tree), to: Path(scratch.path("copy")), options: options) { Issue.record("\($0)") }
            try await expectSame(tree, scratch.path("copy"))
            try await withTreeScratch { other in
                try await Paths.copy(Path(tree), to: Path(other.path("copy")), options: options) {
                    Issue.record("\($0)")
                }
                try await expectSame(tree, other.path("copy"))
            }
        }
    }

    @Test(arguments: [FileSystem.machine, .tmpfs, .ext4, .xfs, .btrfs])
    func holesStayHoles(_ fileSystem: FileSystem) async throws {
        try await withTreeScratch(on: fileSystem) { scratch in
            let path = try scratch.file("file")
            let descriptor = try openDescriptor(path, O_RDWR)
            defer { closeDescriptor(descriptor) }
            let bytes = content.bytes(count: 8192, at: 0)
            for offset in [0, 20 << 20, 63 << 20] { try #require(pwrite(descriptor, bytes, 8192, offset) == 8192) }
            try #require(ftruncate(descriptor, 64 << 20) == 0 && fsync(descriptor) == 0)
            var options = CopyOptions()
            options.sharesBlocks = false
            let copy = scratch.path("copy")
            try await Paths.copy(Path(path), to: Path(copy), options: options)
            #expect(try status(copy).st_size == 64 << 20)
            #expect(try status(copy).st_blocks * 512 <= 1 << 20)
            #expect(runs(["cmp", forOthers(path), forOthers(copy)]))
        }
    }

    @Test(arguments: engines)
    func extendedAttributesAreKept(_ engine: EngineKind) async throws {
        try await withTreeScratch { scratch in
            let tree = try scratch.makeFolder("tree")
            let file = Path(try scratch.file("tree/file", [1]))
            try await withRuntime(engine) { runtime in
                try await Paths.setExtendedAttribute("user.origin", to: [1, 2, 3], of: file, runtime: runtime)
                try await Paths.setExtendedAttribute("user.folder", to: [4], of: Path(tree), runtime: runtime)
                let copy = scratch.path("copy")
                try await Paths.copy(Path(tree), to: Path(copy), runtime: runtime) { Issue.record("\($0)") }
                #expect(try await Paths.extendedAttribute("user.origin", of: Path(copy + "/file")) == [1, 2, 3])
                #expect(try await Paths.extendedAttribute("user.folder", of: Path(copy)) == [4])
            }
        }
    }

    @Test(arguments: engines)
    func devicesAndOwnersAreKept(_ engine: EngineKind) async throws {
        guard geteuid() == 0 else { try Test.cancel("\(skipped("only root makes devices and gives files to others"))") }
        try await withTreeScratch { scratch in
            let tree = try scratch.makeFolder("tree")
            try #require(chown(try scratch.file("tree/file", [1]), 1234, 4321) == 0)
            try #require(mknod(tree + "/null", S_IFCHR | 0o666, 0x103) == 0)
            try await withRuntime(engine) { runtime in
                let copy = scratch.path("copy")
                try await Paths.copy(Path(tree), to: Path(copy), runtime: runtime) { Issue.record("\($0)") }
                #expect(try status(copy + "/null").st_rdev == 0x103)
                let owner = try status(copy + "/file")
                #expect(owner.st_uid == 1234 && owner.st_gid == 4321)
            }
        }
    }

    /// Their reported size is 0.
    @Test(.notSimulated(.mounts), arguments: engines)
    func filesOfTheKernelAreCopiedWithTheirContent(_ engine: EngineKind) async throws {
        try await withTreeScratch { scratch in
            try await withRuntime(engine) { runtime in
                try await Paths.copy("/proc/version", to: Path(scratch.path("copy")), runtime: runtime)
                let descriptor = try openDescriptor("/proc/version")
                defer { closeDescriptor(descriptor) }
                let expected = readToEnd(descriptor)
                #expect(try scratch.content("copy") == expected && !expected.isEmpty)
            }
        }
    }

    /// If the truncation comes too late, the test tries again.
    @Test(arguments: engines)
    func aSourceThatBecomesShorterMeanwhileIsAnError(_ engine: EngineKind) async throws {
        try await withTreeScratch { scratch in
            let path = try scratch.file("file", content.bytes(count: 32 << 20, at: 0))
            var options = CopyOptions()
            options.sharesBlocks = false
            try await withRuntime(engine) { [options] runtime in
                var error: IOError?
                while error == nil {
                    try #require(truncate(path, 32 << 20) == 0)
                    let (progress, isThrough) = (CopyProgress(), Flag())
                    let copy = Task {
                        defer { isThrough.set() }
                        try await Paths.copy(
                            Path(path), to: Path(scratch.path("copy")), options: options, progress: progress,
                            runtime: runtime)
                    }
                    try await eventually { progress.bytes > 0 || isThrough.isSet }
                    try #require(truncate(path, 100) == 0)
                    if case .failure(let failure) = await copy.result {
                        error = failure as? IOError
                    } else {
                        try #require(unlink(scratch.path("copy")) == 0)
                    }
                }
                #expect(
                    error?.code == .unexpectedEndOfFile && error?.path == Path(path), "\(error.map { "\($0)" } ?? "")")
                #expect(!scratch.has("copy"))
                #expect(try await leftovers(in: scratch.folder) == [])
            }
        }
    }

    @Test(arguments: engines)
    func aCancelledCopyLeavesNothingHalf(_ engine: EngineKind) async throws {
        try await withTreeScratch { scratch in
            _ = try scratch.makeFolder("tree")
            for index in 0..<400 { _ = try scratch.file("tree/\(index)", content.bytes(count: 10_000, at: 0)) }
            for index in 0..<3 { _ = try scratch.file("tree/large-\(index)", content.bytes(count: 16 << 20, at: 0)) }
            var options = CopyOptions()
            options.sharesBlocks = false
            try await withRuntime(engine) { [options] runtime in
                for source in ["tree", "tree/large-0"] {
                    let (progress, isThrough) = (CopyProgress(), Flag())
                    let copy = Task {
                        defer { isThrough.set() }
                        try await Paths.copy(
                            Path(scratch.path(source)), to: Path(scratch.path("copy")), options: options,
                            progress: progress, runtime: runtime)
                    }
                    try await eventually { progress.bytes > 0 || isThrough.isSet }
                    copy.cancel()
                    // Unless the copy had finished by then.
                    if case .failure(let error) = await copy.result {
                        #expect((error as? IOError)?.code == .cancelled, "\(error)")
                    }
                    #expect(runtime.inFlightCount == 0)
                    #expect(try await leftovers(in: scratch.folder) == [])
                    for entry in try await items(of: Paths.walk(Path(scratch.folder))).entries
                    where entry.type == .regular {
                        let size = try await Paths.status(of: entry.path).size
                        #expect(size == 10_000 || size == 16 << 20, "\(entry.path) has \(size) bytes")
                    }
                    _ = runs(["rm", "-rf", forOthers(scratch.path("copy"))])
                }
            }
        }
    }

    @Test(arguments: engines)
    func aFullDiskIsToldPerFileAndTheRestGoesOn(_ engine: EngineKind) async throws {
        let mount = try DetachedMount.orSkip("tmpfs", [("size", "6m")])
        defer { mount.release() }
        try await withTreeScratch { scratch in
            let tree = try scratch.makeFolder("tree")
            for index in 0..<40 { _ = try scratch.file("tree/\(index)", content.bytes(count: 200_000, at: 0)) }
            _ = try scratch.file("tree/large", content.bytes(count: 5 << 20, at: 0))
            for index in 0..<10 { _ = try scratch.file("tree/empty-\(index)") }
            try await withRuntime(engine) { runtime in
                var failures: [IOError] = []
                let copy = mount.root + "/copy"
                let summary = try await Paths.copy(Path(tree), to: Path(copy), runtime: runtime) { failures.append($0) }
                #expect(!failures.isEmpty && failures.count == summary.failures)
                #expect(failures.allSatisfy { $0.code == .noSpace && $0.path != nil })
                #expect(summary.files + summary.failures == 51 && summary.files >= 10)
                let copied = try await items(of: Paths.walk(Path(copy), options: WalkOptions(.status)))
                #expect(copied.entries.count == summary.files + 1)
                for entry in copied.entries.dropFirst() {
                    #expect([0, 200_000, 5 << 20].contains(entry.status?.size ?? -1), "\(entry.path)")
                }
                #expect(try await leftovers(in: copy) == [])
            }
        }
    }

    @Test(.notSimulated(.process), arguments: engines.map(\.description))
    func whatMayNotBeReadIsToldAndTheRestGoesOn(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            let engine = try #require(engines.first { $0.description == name })
            try await withTreeScratch { scratch in
                let tree = try scratch.makeFolder("tree")
                for name in ["open", "closed", "z"] {
                    _ = try scratch.makeFolder("tree/\(name)")
                    _ = try scratch.file("tree/\(name)/two\nlines", [1, 2, 3])
                }
                try #require(chmod(tree + "/z/two\nlines", 0) == 0 && chmod(tree + "/closed", 0) == 0)
                try #require(chmod(scratch.folder, 0o777) == 0)
                if geteuid() == 0 { try becomeNobody() }
                try await withRuntime(engine) { runtime in
                    var failures: [IOError] = []
                    let summary = try await Paths.copy(
                        Path(tree), to: Path(scratch.path("copy")), runtime: runtime
                    ) { failures.append($0) }
                    #expect(failures.allSatisfy { $0.code == .permissionDenied }, "\(failures)")
                    #expect(Set(failures.compactMap(\.path)) == [Path(tree + "/closed"), Path(tree + "/z/two\nlines")])
                    #expect(summary.files == 1 && failures.allSatisfy { !"\($0)".contains("\n") })
                    #expect(try scratch.content("copy/open/two\nlines") == [1, 2, 3])
                }
                _ = seteuid(0)
            }
        }
    }

    @Test(arguments: engines)
    func aCopyIntoItselfIsRefused(_ engine: EngineKind) async throws {
        try await withTreeScratch { scratch in
            let tree = try scratch.makeFolder("tree")
            _ = try scratch.makeFolder("tree/folder")
            let file = try scratch.file("tree/file", [1])
            try #require(symlink("tree/folder", scratch.path("link")) == 0 && link(file, scratch.path("name")) == 0)
            try await withRuntime(engine) { runtime in
                for target in ["tree/copy", "tree/folder/copy", "link/copy", "tree", "tree/folder"] {
                    let error = await expectError(.invalidArgument) {
                        try await Paths.copy(Path(tree), to: Path(scratch.path(target)), runtime: runtime)
                    }
                    #expect(error?.advice != nil)
                }
                for target in [file, scratch.path("name")] {
                    await expectError(.invalidArgument) {
                        try await Paths.copy(Path(file), to: Path(target), runtime: runtime)
                    }
                }
                await expectError(.isDirectory) { try await Paths.copy(Path(file), to: Path(tree), runtime: runtime) }
                await expectError(.notFound) {
                    try await Paths.copy(Path(scratch.path("none")), to: Path(scratch.path("copy")), runtime: runtime)
                }
                let kept = try scratch.content("tree/file")
                #expect(kept == [1])
            }
        }
    }

    @Test(arguments: engines)
    func whatIsThereIsReplacedOrKept(_ engine: EngineKind) async throws {
        try await withTreeScratch { scratch in
            let tree = try scratch.makeFolder("tree")
            for name in ["one", "two"] { _ = try scratch.file("tree/\(name)", [1]) }
            let copy = try scratch.makeFolder("copy")
            _ = try scratch.file("copy/one", [2, 2])
            _ = try scratch.file("copy/other", [3])
            try await withRuntime(engine) { runtime in
                var options = CopyOptions()
                options.replaces = false
                var failures: [IOError] = []
                try await Paths.copy(Path(tree), to: Path(copy), options: options, runtime: runtime) {
                    failures.append($0)
                }
                #expect(failures.map(\.code) == [.alreadyExists])
                #expect(failures.first?.path == Path(copy + "/one"))
                #expect(try scratch.content("copy/one") == [2, 2] && scratch.content("copy/two") == [1])
                try await Paths.copy(Path(tree), to: Path(copy), runtime: runtime) { Issue.record("\($0)") }
                #expect(try scratch.content("copy/one") == [1] && scratch.content("copy/other") == [3])
                #expect(try await leftovers(in: copy) == [])
            }
        }
    }

    /// The walk's descriptors and those of the files in flight.
    @Test(.notSimulated(.process), arguments: engines.map(\.description))
    func manyFilesTakeABoundedNumberOfDescriptors(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            let engine = try #require(engines.first { $0.description == name })
            try await withTreeScratch { scratch in
                let tree = try scratch.makeFolder("tree")
                for folder in 0..<20 {
                    _ = try scratch.makeFolder("tree/\(folder)")
                    for file in 0..<150 { _ = try scratch.file("tree/\(folder)/\(file)", [1]) }
                }
                try Limits.allowDescriptors(300)
                try await withRuntime(engine) { runtime in
                    let before = openDescriptors()
                    let summary = try await Paths.copy(
                        Path(tree), to: Path(scratch.path("copy")), runtime: runtime
                    ) { Issue.record("\($0)") }
                    #expect(summary.files == 3000)
                    #expect(openDescriptors() == before, "\(descriptorChanges(since: before))")
                }
            }
        }
    }

    /// Deeper than a path can express.
    @Test(arguments: engines)
    func aDeepTreeIsCopied(_ engine: EngineKind) async throws {
        try await withTreeScratch { scratch in
            let tree = try scratch.makeFolder("tree")
            let levels = try makeDeepTree(tree, levels: 300)
            try await withRuntime(engine) { runtime in
                let summary = try await Paths.copy(Path(tree), to: Path(scratch.path("copy")), runtime: runtime) {
                    Issue.record("\($0)")
                }
                #expect(summary.directories == levels + 1 && summary.failures == 0)
                try await Paths.removeRecursively(Path(tree), runtime: runtime)
                try await Paths.removeRecursively(Path(scratch.path("copy")), runtime: runtime)
            }
        }
    }
}
