import AIO
import Glibc
import Testing
import UnitSupport

/// Appends, and where they ended up.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct AppendTests {
    @Test(arguments: engines, [[], .append] as [File.OpenOptions])
    func anAppendSaysWhereItIs(_ engine: EngineKind, _ options: File.OpenOptions) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("file", [9, 9]))
            try await withRuntime(engine) { runtime in
                try await withFile(path, .readWrite, options: options, runtime: runtime) { file in
                    var place = try await file.append([1, 2, 3])
                    #expect(place == (2, 3))
                    // Neither depends on where anything else was read or written.
                    #expect(try await file.read(upTo: 2, at: 1) == [9, 1])
                    let other = try openDescriptor(scratch.path("file"), O_WRONLY)
                    #expect(pwrite(other, [8], 1, 0) == 1)
                    closeDescriptor(other)
                    place = try await file.append([4, 5], flags: .dataSync)
                    #expect(place == (5, 2))
                    place = try await file.append([])
                    #expect(place == (7, 0))
                    #expect(try scratch.content("file") == [8, 9, 1, 2, 3, 4, 5])
                    try await file.truncate(to: 1)
                    place = try await file.append([6])
                    #expect(place == (1, 1))
                }
            }
        }
    }

    /// Through one open file and through two, beside calls that move the position.
    @Test(arguments: engines)
    func appendsAtOnceSayTheirOwnOffsets(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("file"))
            try await withRuntime(engine) { runtime in
                let files = [
                    try await File.open(path, .readWrite, runtime: runtime),
                    try await File.open(path, .readWrite, options: .append, runtime: runtime),
                ]
                let places = try await withThrowingTaskGroup(of: [(Int64, [UInt8])].self) { group in
                    for writer in 0..<8 {
                        group.addTask {
                            var places: [(Int64, [UInt8])] = []
                            for round in 0..<100 {
                                let bytes = [UInt8](repeating: UInt8(writer), count: 1 + (round * 7 + writer) % 50)
                                let place = try await files[writer % 2].append(bytes)
                                #expect(place.count == bytes.count)
                                places.append((place.offset, bytes))
                                _ = try await files[writer % 2].nextHole(from: 0)
                            }
                            return places
                        }
                    }
                    return try await group.reduce(into: []) { $0 += $1 }
                }
                for file in files { try await file.close() }
                let content = try places.sorted { $0.0 < $1.0 }.reduce(into: [UInt8]()) { content, place in
                    try #require(place.0 == content.count, "they neither overlap nor leave gaps")
                    content += place.1
                }
                #expect(try scratch.content("file") == content && places.count == 800)
            }
        }
    }

    @Test(arguments: engines)
    func whatHasNoPositionsIsRefused(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("file", [1]))
            try await withRuntime(engine) { runtime in
                try await Ends.with { ends in
                    let pipe = File(adopting: ends.writing, runtime: runtime)
                    ends.writing = -1
                    await expectError(.notSupported) { try await pipe.append([1]) }
                    try await pipe.close()
                }
                let file = try await File.open(path, runtime: runtime)
                await expectError(.badDescriptor) { try await file.append([1]) }
                await expectError(.deadlineExceeded) { try await file.append([1], deadline: .now) }
                try await file.close()
                await expectError(.fileClosed) { try await file.append([1]) }
            }
            #expect(try scratch.content("file") == [1])
        }
    }
}
