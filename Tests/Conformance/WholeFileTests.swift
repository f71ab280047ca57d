import AIO
import Glibc
import Testing

/// Files that are read and written in one call.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct WholeFileTests {
    private let content = KnownContent(seed: 77)

    @Test(arguments: engines, [0, 1, 16383, 16384, 16385, 200_000, 9 << 20])
    func whatIsWrittenIsRead(_ engine: EngineKind, _ size: Int) async throws {
        try await withScratch { scratch in
            let path = Path(scratch.path("file"))
            try await withRuntime(engine) { runtime in
                try await Paths.writeFile(path, content.bytes(count: size, at: 0), runtime: runtime)
                let bytes = try await Paths.readFile(path, runtime: runtime)
                #expect(bytes.count == size)
                #expect(content.mismatch(bytes, at: 0) == nil)
            }
        }
    }

    /// Their reported size is 0 or a page, and some return only a part per read.
    @Test(
        .notSimulated(.mounts), arguments: engines,
        ["/proc/self/maps", "/proc/version", "/sys/kernel/mm/transparent_hugepage/enabled"])
    func filesOfTheKernelAreReadToTheirEnd(_ engine: EngineKind, _ path: String) async throws {
        let descriptor = try openDescriptor(path)
        let expected = readToEnd(descriptor)
        closeDescriptor(descriptor)
        try await withRuntime(engine) { runtime in
            let bytes = try await Paths.readFile(Path(path), runtime: runtime)
            #expect(bytes.prefix { $0 != 10 } == expected.prefix { $0 != 10 })
            #expect(bytes.last == 10)
            // The process' memory map changes, but not by several pages of text.
            #expect(bytes.count > expected.count / 2)
        }
    }

    @Test(arguments: engines)
    func aFileThatGrowsIsReadToItsEndOrItsLimit(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("file", content.bytes(count: 100_000, at: 0)))
            try await withRuntime(engine) { runtime in
                let isDone = Flag()
                let writer = Task {
                    try await withFile(path, .write, options: .append, runtime: runtime) { file in
                        var size: Int64 = 100_000
                        while !isDone.isSet, size < 20 << 20 {
                            try await file.writeAll(content.bytes(count: 5000, at: size), at: size)
                            size += 5000
                        }
                    }
                }
                for _ in 0..<20 {
                    let bytes = try await Paths.readFile(path, runtime: runtime)
                    #expect(bytes.count >= 100_000)
                    #expect(content.mismatch(bytes, at: 0) == nil)
                }
                isDone.set()
                try await writer.value
            }
        }
    }

    @Test(.notSimulated(.mounts), arguments: engines)
    func theLimitIsHeededToTheByte(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("file", [UInt8](repeating: 1, count: 1000)))
            try await withRuntime(engine) { runtime in
                #expect(try await Paths.readFile(path, limit: 1000, runtime: runtime).count == 1000)
                let error = await expectError(.fileTooLarge) {
                    try await Paths.readFile(path, limit: 999, runtime: runtime)
                }
                #expect(error?.path == path && error?.operation == "read")
                // A file that does not report its size.
                await expectError(.fileTooLarge) {
                    try await Paths.readFile("/proc/version", limit: 10, runtime: runtime)
                }
                let version = try await Paths.readFile("/proc/version", runtime: runtime)
                #expect(try await Paths.readFile("/proc/version", limit: version.count, runtime: runtime) == version)
            }
        }
    }

    /// If a worker waited for the other end, the runtime would never end.
    @Test(arguments: engines)
    func whatMightNeverEndIsRefused(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            try #require(mkfifo(scratch.path("fifo"), 0o600) == 0)
            try await withRuntime(engine, { $0.workerLimit = 1 }) { runtime in
                let fifo = Path(scratch.path("fifo"))
                let error = await expectError(.invalidArgument) { try await Paths.readFile(fifo, runtime: runtime) }
                #expect(error?.advice != nil && error?.path == fifo)
                let unread = await expectError(.other) { try await Paths.writeFile(fifo, [1], runtime: runtime) }
                #expect(unread?.errno?.rawValue == ENXIO)
                await expectError(.invalidArgument) { try await Paths.readFile("/dev/zero", runtime: runtime) }
                await expectError(.isDirectory) { try await Paths.readFile("/tmp", runtime: runtime) }
                await expectError(.isDirectory) { try await Paths.writeFile("/tmp", [1], runtime: runtime) }
                await expectError(.notFound) {
                    try await Paths.readFile(Path(scratch.path("missing")), runtime: runtime)
                }
            }
        }
    }

    @Test(arguments: engines)
    func writingReplacesAppendsOrRefuses(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("file", [1, 2, 3]))
            try await withRuntime(engine) { runtime in
                try await Paths.writeFile(path, [4], options: [.append, .dataSync], runtime: runtime)
                #expect(try scratch.content("file") == [1, 2, 3, 4])
                try await Paths.writeFile(path, [5], runtime: runtime)
                #expect(try scratch.content("file") == [5])
                let error = await expectError(.alreadyExists) {
                    try await Paths.writeFile(path, [6], options: [.create, .exclusive], runtime: runtime)
                }
                #expect(error?.operation == "write" && error?.path == path)
                try await Paths.writeFile(path, [], runtime: runtime)
                #expect(try scratch.content("file") == [])
                await expectError(.invalidArgument) { try await Paths.writeFile("/dev/full", [1], runtime: runtime) }
            }
        }
    }
}
