import AIO
import AIOCore
import CKernel
import Glibc
import Testing

/// Writes to streams that complete when all bytes are written (`Transfer.Form.whole`).
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct WholeWriteTests {
    private static let size = 1 << 20

    @Test(arguments: engines, StreamKind.allCases)
    func aWholeWriteCompletesWhenAllIsWritten(_ engine: EngineKind, _ kind: StreamKind) async throws {
        try await write(engine, kind) { ends, task, content in
            let read = try await Self.read(ends, Self.size)
            #expect(areSame(read, content), "\(read.count) bytes were read, not those that were written")
            #expect(try await task.value == Self.size)
        }
    }

    @Test(arguments: engines)
    func aVectoredOneGoesOnInTheMiddleOfAVector(_ engine: EngineKind) async throws {
        let content = KnownContent(seed: 8).bytes(count: Self.size, at: 0)
        let cuts = [0, 1, 1000, 1000, 300_001, Self.size]
        let vectors = Vectors(zip(cuts, cuts.dropFirst()).map { Memory(Array(content[$0..<$1])) })
        try await withRuntime(engine) { runtime in
            try await Ends.with { ends in
                var transfer = vectors.transfer(ends.writing)
                transfer.form.insert(.whole)
                let write = Operation.writeVectored(transfer)
                let task = Task { try await runtime.perform(write) }
                let read = try await Self.read(ends, Self.size)
                #expect(areSame(read, content), "\(read.count) bytes were read, not those that were written")
                #expect(try await task.value == Self.size)
            }
        }
        withExtendedLifetime(vectors) {}
    }

    @Test(arguments: engines)
    func aCancelledOneTellsWhatWasWritten(_ engine: EngineKind) async throws {
        try await write(engine, .pipe) { ends, task, content in
            var read = try await Self.read(ends, 100_000)
            task.cancel()
            let written = try await task.value
            #expect(written >= 100_000 && written < Self.size)
            read += try await Self.read(ends, Int(written) - 100_000)
            #expect(read.elementsEqual(content.prefix(Int(written))))
        }
    }

    @Test(arguments: engines)
    func oneWhoseReaderGoesTellsWhatWasWritten(_ engine: EngineKind) async throws {
        try await write(engine, .pipe) { ends, task, _ in
            _ = try await Self.read(ends, 100_000)
            ends.closeReading()
            let written = try await task.value
            #expect(written >= 100_000 && written < Self.size)
        }
    }

    /// Runs `body` while a large write to a stream is in flight.
    private func write(
        _ engine: EngineKind, _ kind: StreamKind,
        _ body: (inout Ends, Task<Int32, any Error>, [UInt8]) async throws -> Void
    ) async throws {
        let content = KnownContent(seed: 8).bytes(count: Self.size, at: 0)
        let memory = Memory(content)
        try await withRuntime(engine) { runtime in
            try await Ends.with(kind) { ends in
                var transfer = memory.transfer(ends.writing)
                transfer.form.insert(.whole)
                transfer.descriptor = .classify(ends.writing)
                let operation = Operation.write(transfer)
                let task = Task { try await runtime.perform(operation) }
                try await body(&ends, task, content)
            }
        }
        withExtendedLifetime(memory) {}
    }

    private static func read(_ ends: Ends, _ count: Int) async throws -> [UInt8] {
        try await BlockingThread.with {
            var bytes: [UInt8] = []
            while bytes.count < count {
                let piece = ends.get(min(count - bytes.count, 65536))
                guard !piece.isEmpty else { break }
                bytes += piece
            }
            return bytes
        }
    }
}

/// O_DIRECT is a flag of the open file, which another holder may set while a transfer is in flight.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct DirectMeanwhileTests {
    @Test(arguments: ways)
    func aBufferedTransferStaysOne(_ way: Way) async throws {
        let content = KnownContent(seed: 3)
        try await withScratch { scratch in
            let path = try scratch.file("direct", content.bytes(count: 1 << 20, at: 0))
            let descriptor = try openDescriptor(path, O_RDWR | Int32(CK_O_DIRECT))
            defer { closeDescriptor(descriptor) }
            let memory = Memory(count: 1001)
            try await way.run { performer in
                for offset in [100, 70_000, 500_001] as [Int64] {
                    let transfer = memory.transfer(descriptor, at: offset, kind: .buffered)
                    try await performer.expect(.read(transfer), completesWith: 1001)
                    #expect(content.mismatch(memory.bytes, at: offset) == nil)
                    try await performer.expect(.write(transfer), completesWith: 1001)
                }
            }
            #expect(fcntl(descriptor, F_GETFL) & Int32(CK_O_DIRECT) != 0)
            #expect(content.mismatch(try scratch.content("direct"), at: 0) == nil)
            withExtendedLifetime(memory) {}
        }
    }
}
