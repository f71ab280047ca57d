import AIO
import CKernel
import Glibc
import Testing
import UnitSupport

/// Faults that were found in the source of NIO's file system, and that this library must not have.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct NIOFileSystemBugTests {
    private let content = KnownContent(seed: 5)

    // MARK: A short read is not the end of the file

    @Test(arguments: engines)
    func aShortReadOfAPipeIsNotItsEnd(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            try await Ends.with { ends in
                let file = File(adopting: ends.reading, runtime: runtime)
                ends.reading = -1
                let bytes = content.bytes(count: 5000, at: 0)
                let reader = Task {
                    var read: [UInt8] = []
                    for try await chunk in file.chunks(of: 4096) {
                        chunk.withUnsafeBytes { read += $0 }
                    }
                    return read
                }
                // Each piece is read before the next one is written, and is shorter than the count.
                for start in stride(from: 0, to: 5000, by: 500) {
                    ends.put(Array(bytes[start..<start + 500]))
                    let writing = ends.writing
                    try await eventually { pendingBytes(writing) == 0 }
                }
                ends.closeWriting()
                #expect(try await reader.value == bytes)
                try await file.close()
            }
        }
    }

    /// Their reported size is 0, and each read returns about a page.
    @Test(.notSimulated(.mounts), arguments: engines, ["/proc/kallsyms", "/proc/cpuinfo", "/proc/self/status"])
    func filesOfTheKernelAreReadToTheirEndInEveryWay(_ engine: EngineKind, _ name: String) async throws {
        let path = Path(name)
        let descriptor = try openDescriptor(name)
        let expected = readToEnd(descriptor).count { $0 == 10 }
        closeDescriptor(descriptor)
        try #require(expected > 0)
        try await withRuntime(engine) { runtime in
            let whole = try await Paths.readFile(path, runtime: runtime)
            #expect(whole.count { $0 == 10 } == expected && whole.last == 10)
            try await withFile(path, runtime: runtime) { file in
                #expect(try await file.status().size == 0)
                var lines = 0
                for try await _ in file.byteLines() { lines += 1 }
                #expect(lines == expected)
                var newlines = 0
                for try await chunk in file.chunks(of: 1 << 20) {
                    chunk.withUnsafeBytes { newlines += $0.count { $0 == 10 } }
                }
                #expect(newlines == expected)
            }
        }
    }

    // MARK: Replacing never unlinks the target first

    @Test(arguments: engines, ["once", "stream"])
    func aReplacedNameIsNeverTakenAway(_ engine: EngineKind, _ form: String) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("file", [1]))
            try await withRuntime(engine) { runtime in
                let folder = Path(scratch.folder)
                try await withChanges(of: [folder], [.created, .deleted, .moved], runtime: runtime) { changes in
                    if form == "once" {
                        try await Paths.replaceFile(path, [2], runtime: runtime)
                    } else {
                        try await Paths.replaceFile(path, runtime: runtime) { try await $0.writeAll([2], at: 0) }
                    }
                    _ = try scratch.file("last")
                    var kinds: [Change.Kind] = []
                    while let change = try await changes.next(), change.name != "last" {
                        if change.name == "file" { kinds.append(change.kind) }
                    }
                    guard case .movedTo? = kinds.first, kinds.count == 1 else {
                        Issue.record("what happened to the name: \(kinds)")
                        return
                    }
                }
                #expect(try scratch.content("file") == [2])
            }
        }
    }

    // MARK: Descriptors

    @Test(.notSimulated(.process), arguments: engines.map(\.description))
    func everyDescriptorIsClosedByAnExec(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            let engine = try #require(EngineKind(name))
            let before = openDescriptors()
            try await withScratch { scratch in
                let path = Path(try scratch.file("file", [1]))
                try await withRuntime(engine) { runtime in
                    let file = try await File.open(path, .readWrite, runtime: runtime)
                    let folder = try await File.open(Path(scratch.folder), options: .directory, runtime: runtime)
                    let below = try await File.open("file", in: folder)
                    let nameless = try await namelessFile(in: Path(scratch.folder), runtime)
                    let changes = try await Paths.changes(of: path, runtime: runtime)
                    try await Paths.replaceFile(path, runtime: runtime) { _ in
                        // This includes the engine's descriptors.
                        let open = openDescriptors().subtracting(before)
                        #expect(open.count >= (nameless == nil ? 6 : 7))
                        #expect(open.allSatisfy { fcntl($0, F_GETFD) & FD_CLOEXEC != 0 })
                    }
                    for file in [file, folder, below] { try await file.close() }
                    try await nameless?.close()
                    try await changes.close()
                }
            }
        }
    }

    @Test(arguments: engines)
    func aLeakedHandleIsClosedAndLogged(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("leaked", [1]))
            let lines = LogLines()
            try await withRuntime(engine, { $0.log = { lines.append($0) } }) { runtime in
                let number = try await leak(path, runtime)
                try await eventually { !isOpen(path, at: number) }
            }
            #expect(lines.all.count == 1 && lines.all.first?.contains("leaked") == true, "\(lines.all)")
        }
    }

    private func leak(_ path: Path, _ runtime: IORuntime) async throws -> Int32 {
        let file = try await File.open(path, runtime: runtime)
        #expect(isOpen(path, at: file.descriptor.number))
        return file.descriptor.number
    }

    /// After a close the next open gets the same number; a late read must not reach that file.
    @Test(arguments: engines, [1, 100_000])
    func aCloseNeverLetsAReadTouchAnotherFile(_ engine: EngineKind, _ count: Int) async throws {
        try await withScratch { scratch in
            let ours = Path(try scratch.file("ours", [UInt8](repeating: 1, count: 100_000)))
            let others = Path(try scratch.file("others", [UInt8](repeating: 2, count: 100_000)))
            try await withRuntime(engine) { runtime in
                for _ in 0..<60 {
                    let file = try await File.open(ours, runtime: runtime)
                    let isOpened = Flag()
                    let reads = (0..<3).map { _ in
                        Task {
                            while true {
                                do {
                                    let bytes = try await file.read(upTo: count, at: 0)
                                    #expect(bytes.allSatisfy { $0 == 1 }, "another file was read")
                                } catch let error as IOError {
                                    #expect(error.code == .fileClosed, "\(error)")
                                    if isOpened.isSet { return }
                                }
                                await Task.yield()
                            }
                        }
                    }
                    try await file.close()
                    let other = try await File.open(others, runtime: runtime)
                    isOpened.set()
                    for read in reads { try await read.value }
                    try await other.close()
                }
            }
        }
    }
}

/// Bytes in a pipe, by FIONREAD.
private func pendingBytes(_ descriptor: Int32) -> Int32 {
    var count: Int32 = 0
    let asked = withUnsafeMutablePointer(to: &count) {
        SystemCall.call(CK_NR_ioctl, Int(descriptor), 0x541B, address($0))
    }
    return asked == 0 ? count : -1
}

/// Whether a number refers to the file at a path.
private func isOpen(_ path: Path, at number: Int32) -> Bool {
    var own = Glibc.stat()
    var named = Glibc.stat()
    guard fstat(number, &own) == 0, stat("\(path)", &named) == 0 else { return false }
    return own.st_ino == named.st_ino && own.st_dev == named.st_dev
}

/// nil if the file system does not support O_TMPFILE.
private func namelessFile(in folder: Path, _ runtime: IORuntime) async throws -> File? {
    do { return try await File.temporary(in: folder, runtime: runtime) } catch {
        guard error.code == .notSupported else { throw error }
        return nil
    }
}
