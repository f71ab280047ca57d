import AIO
import Glibc
import Testing

/// `Configuration.readsAhead` on every engine: the same bytes, the same errors.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct ReadsAheadTests {
    private static let page = 1 << 16

    /// A file that is not in the page cache.
    private func coldFile(_ scratch: borrowing Scratch, _ content: KnownContent, pages: Int) throws -> Path {
        let path = try scratch.file("cold", content.bytes(count: pages * Self.page, at: 0))
        let descriptor = try openDescriptor(path, O_RDWR)
        defer { closeDescriptor(descriptor) }
        try #require(fsync(descriptor) == 0)
        try #require(posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED) == 0)
        return Path(path)
    }

    @Test(arguments: engines)
    func concurrentColdReadsGetTheirBytes(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let content = KnownContent(seed: 11)
            let path = try coldFile(scratch, content, pages: 32)
            try await withRuntime(engine, { $0.readsAhead = true }) { runtime in
                try await withFile(path, runtime: runtime) { file in
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        for page in 0..<32 {
                            group.addTask {
                                let offset = Int64(page * Self.page)
                                let bytes = try await file.readExactly(count: Self.page, at: offset)
                                #expect(content.mismatch(bytes, at: offset) == nil)
                            }
                        }
                        try await group.waitForAll()
                    }
                    #expect(try await file.read(upTo: 1, at: Int64(32 * Self.page)).isEmpty)
                    await expectError(.invalidArgument) { try await file.read(upTo: 1, at: -5) }
                }
            }
        }
    }

    @Test(arguments: engines)
    func readsOfAQueueGetTheirBytes(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let content = KnownContent(seed: 12)
            let path = try coldFile(scratch, content, pages: 4)
            let descriptor = try openDescriptor("\(path)", O_RDONLY)
            defer { closeDescriptor(descriptor) }
            try await withQueue(engine, { $0.readsAhead = true }) { queue in
                let memory = Memory(count: Self.page)
                for page in 0..<4 {
                    let offset = Int64(page * Self.page)
                    let read = try queue.blockingPerform(.read(memory.transfer(descriptor, at: offset)))
                    #expect(Int(read) == Self.page)
                    #expect(content.mismatch(memory.bytes, at: offset) == nil)
                }
            }
        }
    }
}
