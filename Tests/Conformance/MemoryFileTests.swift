import AIO
import AIOCore
import CKernel
import Glibc
import Testing
import UnitSupport

/// Files of tmpfs, which does not support RWF_NOWAIT and does not need it, since their pages are always in memory.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct MemoryFileTests {
    @Test(arguments: engines)
    func aQueueReadsThemWhenTheyAreSubmitted(_ engine: EngineKind) async throws {
        try await withMemoryFile { file, content in
            try await withQueue(engine) { queue in
                let memory = (0..<8).map { _ in Memory(count: 4096) }
                for (index, memory) in memory.enumerated() {
                    var transfer = memory.transfer(file.number, at: Int64(index) * 5000)
                    transfer.descriptor = file
                    try queue.prepare(.read(transfer), context: UInt(index))
                }
                try queue.submit()
                // Without a wait, so neither a worker nor another thread was involved.
                let drained = queue.completions()
                #expect(drained.map(\.context) == Array(0..<8))
                for (index, memory) in memory.enumerated() {
                    let offset = index * 5000
                    let expected = Array(content[min(offset, content.count)..<min(offset + 4096, content.count)])
                    #expect(drained[index].result == Int32(expected.count))
                    #expect(memory.bytes(expected.count) == expected)
                }
            }
        }
    }

    @Test(arguments: engines, [true, false])
    func whatWasReadMakesTheDescriptorReadable(_ engine: EngineKind, isAskedForBefore: Bool) async throws {
        try await withMemoryFile { file, content in
            try await withQueue(engine) { queue in
                if isAskedForBefore { _ = try queue.pollableDescriptor }
                for _ in 0..<3 {
                    let memory = Memory(count: 100)
                    var transfer = memory.transfer(file.number)
                    transfer.descriptor = file
                    try queue.prepare(.read(transfer))
                    try queue.submit()
                    var entry = pollfd(fd: try queue.pollableDescriptor, events: Int16(POLLIN), revents: 0)
                    #expect(Glibc.poll(&entry, 1, 30_000) == 1)
                    while queue.completions().isEmpty { sched_yield() }
                    #expect(memory.bytes == Array(content[..<100]))
                    #expect(Glibc.poll(&entry, 1, 0) == 0)
                }
            }
        }
    }

    @Test(arguments: engines)
    func holesEndsAndSeveralBuffersAreReadAsElsewhere(_ engine: EngineKind) async throws {
        try await withScratch(on: .tmpfs) { scratch in
            let path = try scratch.file("sparse", [1, 2, 3])
            try #require(truncate(path, 100_000) == 0)
            try await withRuntime(engine) { runtime in
                try await withFile(Path(path), runtime: runtime) { file in
                    #expect(try await file.read(upTo: 5, at: 0) == [1, 2, 3, 0, 0])
                    #expect(try await file.read(upTo: 5000, at: 50_000) == [UInt8](repeating: 0, count: 5000))
                    #expect(try await file.read(upTo: 10, at: 99_998) == [0, 0])
                    #expect(try await file.read(upTo: 10, at: 100_000).isEmpty)
                    #expect(try await file.read(upTo: 10, at: 1 << 60).isEmpty)
                    // More than is copied inline.
                    #expect(try await file.read(upTo: 1 << 20, at: 1).count == 99_999)
                    let parts = [Memory(count: 2), Memory(count: 2)]
                    let vectors = Vectors(parts)
                    let count = try await runtime.perform(.readVectored(vectors.transfer(file.descriptor.number)))
                    #expect(count == 4)
                    #expect(parts.map(\.bytes) == [[1, 2], [3, 0]])
                }
            }
        }
    }

    /// A file of 30,000 known bytes. Skipped if the kernel cannot tell which pages are swapped out.
    private func withMemoryFile(_ body: (Descriptor, [UInt8]) async throws -> Void) async throws {
        var range = ck_cachestat_range()
        var status = ck_cachestat()
        guard
            SystemCall.call(CK_NR_cachestat, -1, address(&range), address(&status), 0, 0, 0) == -Int(EBADF)
        else {
            try Test.cancel("\(skipped("no cachestat(2), which is Linux 6.5's"))")
        }
        try await withScratch(on: .tmpfs) { scratch in
            let content = KnownContent(seed: 7).bytes(count: 30_000, at: 0)
            let number = try openDescriptor(try scratch.file("known", content))
            defer { closeDescriptor(number) }
            let file = Descriptor.classify(number)
            #expect(file.backing == .memory)
            try await body(file, content)
        }
    }
}
