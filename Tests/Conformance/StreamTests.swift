import AIO
import AIOCore
import CKernel
import Glibc
import Testing

/// Pipes, sockets, FIFOs and terminals may wait for ever, and must not delay anything else.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct StreamTests {
    @Test(arguments: ways, StreamKind.allCases)
    func aReadGetsWhatIsThere(_ way: Way, _ kind: StreamKind) async throws {
        try await way.run { performer in
            try await Ends.with(kind) { ends in
                ends.put([1, 2, 3])
                let memory = Memory(count: 100)
                try await performer.expect(.read(memory.transfer(ends.reading)), completesWith: 3)
                #expect(memory.bytes(3) == [1, 2, 3])
            }
        }
    }

    @Test(arguments: ways, StreamKind.allCases)
    func offsetsMeanNothingToAStream(_ way: Way, _ kind: StreamKind) async throws {
        try await way.run { performer in
            try await Ends.with(kind) { ends in
                let memory = Memory([1, 2, 3])
                try await performer.expect(.write(memory.transfer(ends.writing, at: 4096)), completesWith: 3)
                let target = Memory(count: 3)
                try await performer.expect(.read(target.transfer(ends.reading, at: 1 << 40)), completesWith: 3)
                #expect(target.bytes == [1, 2, 3])
            }
        }
    }

    @Test(arguments: ways, StreamKind.allCases)
    func vectoredTransfersWorkOnStreams(_ way: Way, _ kind: StreamKind) async throws {
        try await way.run { performer in
            try await Ends.with(kind) { ends in
                let source = Vectors([Memory([1, 2]), Memory([3])])
                try await performer.expect(.writeVectored(source.transfer(ends.writing)), completesWith: 3)
                let target = Vectors([Memory(count: 1), Memory(count: 9)])
                let read = try await performer.perform(.readVectored(target.transfer(ends.reading)))
                // A terminal returns the data of one buffer at a time.
                #expect(read == 3 || (kind == .terminal && read == 1))
                #expect(target.parts[0].bytes == [1])
                withExtendedLifetime(source) {}
            }
        }
    }

    @Test(arguments: engines, StreamKind.allCases)
    func aReadWaitsUntilSomethingIsWritten(_ engine: EngineKind, _ kind: StreamKind) async throws {
        try await withRuntime(engine) { runtime in
            try await Ends.with(kind) { ends in
                let reading = ends.reading
                let read = Task {
                    let memory = Memory(count: 10)
                    let count = try await runtime.perform(.read(memory.transfer(reading)))
                    return memory.bytes(Int(count))
                }
                try await eventually { runtime.inFlightCount == 1 }
                ends.put([42])
                #expect(try await read.value == [42])
            }
        }
    }

    @Test(arguments: engines, StreamKind.allCases)
    func aNonBlockingDescriptorIsWaitedForLikeAnyOther(_ engine: EngineKind, _ kind: StreamKind) async throws {
        try await withRuntime(engine) { runtime in
            try await Ends.with(kind, nonBlocking: true) { ends in
                let reading = ends.reading
                let read = Task {
                    let memory = Memory(count: 10)
                    let count = try await runtime.perform(.read(memory.transfer(reading)))
                    return memory.bytes(Int(count))
                }
                try await eventually { runtime.inFlightCount == 1 }
                ends.put([42])
                #expect(try await read.value == [42])
            }
        }
    }

    @Test(arguments: engines, [StreamKind.pipe, .socket, .fifo])
    func aWriteWaitsUntilThereIsRoom(_ engine: EngineKind, _ kind: StreamKind) async throws {
        try await withRuntime(engine) { runtime in
            try await Ends.with(kind) { ends in
                let filled = ends.fillUp()
                let writing = ends.writing
                let write = Task {
                    let memory = Memory([1, 2, 3])
                    return try await runtime.perform(.write(memory.transfer(writing)))
                }
                try await eventually { runtime.inFlightCount == 1 }
                ends.drain(filled)
                #expect(try await write.value == 3)
                #expect(ends.get(10) == [1, 2, 3])
            }
        }
    }

    @Test(arguments: ways, [StreamKind.pipe, .socket, .fifo])
    func aReadAfterTheLastWriterHasGoneReturnsZero(_ way: Way, _ kind: StreamKind) async throws {
        try await way.run { performer in
            try await Ends.with(kind) { ends in
                ends.put([5])
                ends.closeWriting()
                let memory = Memory(count: 10)
                try await performer.expect(.read(memory.transfer(ends.reading)), completesWith: 1)
                try await performer.expect(.read(memory.transfer(ends.reading)), completesWith: 0)
            }
        }
    }

    @Test(arguments: engines, [StreamKind.pipe, .socket, .fifo])
    func aWaitingReadEndsWithZeroWhenTheLastWriterGoes(_ engine: EngineKind, _ kind: StreamKind) async throws {
        try await withRuntime(engine) { runtime in
            try await Ends.with(kind) { ends in
                let reading = ends.reading
                let read = Task {
                    let memory = Memory(count: 10)
                    return try await runtime.perform(.read(memory.transfer(reading)))
                }
                try await eventually { runtime.inFlightCount == 1 }
                ends.closeWriting()
                #expect(try await read.value == 0)
            }
        }
    }

    @Test(arguments: ways, [StreamKind.pipe, .socket, .fifo])
    func aWriteWithoutAReaderFailsWithEPIPE(_ way: Way, _ kind: StreamKind) async throws {
        signal(SIGPIPE, SIG_IGN)
        try await way.run { performer in
            try await Ends.with(kind) { ends in
                ends.closeReading()
                let memory = Memory([1])
                await performer.expect(.write(memory.transfer(ends.writing)), failsWith: EPIPE)
                withExtendedLifetime(memory) {}
            }
        }
    }

    @Test(arguments: engines, StreamKind.allCases)
    func everyOneOfSeveralReadersGetsItsShare(_ engine: EngineKind, _ kind: StreamKind) async throws {
        try await withRuntime(engine, { $0.workerLimit = 2 }) { runtime in
            try await Ends.with(kind) { ends in
                let reading = ends.reading
                let readers = (0..<8).map { _ in
                    Task {
                        let memory = Memory(count: 1)
                        let count = try await runtime.perform(.read(memory.transfer(reading)))
                        return memory.bytes(Int(count))
                    }
                }
                try await eventually { runtime.inFlightCount == 8 }
                for byte in UInt8(0)..<8 { ends.put([byte]) }
                var got: [UInt8] = []
                for reader in readers { got += try await reader.value }
                #expect(got.sorted() == Array(0..<8))
            }
        }
    }

    /// A waiting read has no thread. With more of them than workers, files are still served.
    @Test(arguments: engines, StreamKind.allCases)
    func readsThatWaitHoldNoWorker(_ engine: EngineKind, _ kind: StreamKind) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("beside", [UInt8](repeating: 3, count: 4096)))
            try await withRuntime(engine, { $0.workerLimit = 2 }) { runtime in
                var streams: [Ends] = []
                defer {
                    for var ends in streams {
                        ends.closeReading()
                        ends.closeWriting()
                    }
                }
                for _ in 0..<12 { streams.append(try Ends(kind, false)) }
                let reads = streams.map { ends in
                    Task {
                        let memory = Memory(count: 1)
                        return try await runtime.perform(.read(memory.transfer(ends.reading)))
                    }
                }
                try await eventually { runtime.inFlightCount == 12 }
                try await withFile(path, .readWrite, runtime: runtime) { file in
                    try await file.sync()
                    #expect(try await file.read(upTo: 10, at: 0) == [UInt8](repeating: 3, count: 10))
                }
                for ends in streams { ends.put([1]) }
                for read in reads { #expect(try await read.value == 1) }
            }
        }
    }

    /// Several reads find the same byte ready; those that come too late wait like any other read.
    @Test(arguments: engines, StreamKind.allCases)
    func aReadThatComesTooLateHoldsNoWorker(_ engine: EngineKind, _ kind: StreamKind) async throws {
        try await withScratch { scratch in
            let descriptor = try openDescriptor(try scratch.file("beside", [1, 2, 3]), O_RDWR)
            defer { closeDescriptor(descriptor) }
            try await withQueue(engine, { $0.workerLimit = 1 }) { queue in
                try await Ends.with(kind) { ends in
                    ends.put([1])
                    let memory = (0..<4).map { _ in Memory(count: 1) }
                    let reads = try memory.map { try queue.prepare(.read($0.transfer(ends.reading))) }
                    try queue.submit()
                    let sync = try queue.prepare(.sync(Descriptor(descriptor), .full))
                    // One read and the sync.
                    try queue.waitPatiently(atLeast: 2)
                    let first = queue.completions()
                    #expect(first.contains(Drained(sync, 0, 0)))
                    ends.put([2])
                    ends.put([3])
                    try queue.waitPatiently(atLeast: 2)
                    let second = queue.completions()
                    for token in reads { queue.requestCancel(token) }
                    try queue.waitPatiently(atLeast: 1)
                    let all = first + second + queue.completions()
                    #expect(all.count == 5)
                    #expect(all.filter { $0.token != sync }.map(\.result).sorted() == [-ECANCELED, 1, 1, 1])
                }
            }
        }
    }

    @Test(arguments: engines)
    func aWaitingReadDoesNotHoldUpAWriteOnTheSameSocket(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            try await Ends.with(.socket) { ends in
                let one = ends.reading
                let read = Task {
                    let memory = Memory(count: 1)
                    return try await runtime.perform(.read(memory.transfer(one)))
                }
                try await eventually { runtime.inFlightCount == 1 }
                let memory = Memory([9])
                #expect(try await runtime.perform(.write(memory.transfer(one))) == 1)
                // In the other direction, which completes the read.
                ends.put([8])
                #expect(try await read.value == 1)
            }
        }
    }

    @Test(arguments: engines, StreamKind.allCases)
    func aFileAdoptsAStream(_ engine: EngineKind, _ kind: StreamKind) async throws {
        try await withRuntime(engine) { runtime in
            try await Ends.with(kind) { ends in
                let reading = File(adopting: ends.reading, runtime: runtime)
                let writing = File(adopting: ends.writing, runtime: runtime)
                ends = Ends(adopted: ends)
                async let read = reading.read(upTo: 3, at: 0)
                try await writing.writeAll([1, 2, 3], at: 0)
                var got = try await read
                while got.count < 3 { got += try await reading.read(upTo: 3 - got.count, at: 0) }
                #expect(got == [1, 2, 3])
                try await writing.close()
                try await reading.close()
            }
        }
    }

    @Test(arguments: engines, StreamKind.allCases)
    func noWaitOnASilentStreamIsWouldBlock(_ engine: EngineKind, _ kind: StreamKind) async throws {
        try await withRuntime(engine) { runtime in
            try await Ends.with(kind) { ends in
                let memory = Memory(count: 1)
                let errors: Set<IOError.Code> = [.wouldBlock, .notSupported]
                do throws(IOError) {
                    let read = Operation.read(memory.transfer(ends.reading, flags: .noWait))
                    let count = try await runtime.perform(read)
                    Issue.record("read \(count) bytes")
                } catch {
                    // FIFOs and terminals do not support RWF_NOWAIT.
                    #expect(errors.contains(error.code))
                }
            }
        }
    }
}

extension Ends {
    /// Both ends now have another owner.
    fileprivate init(adopted: Ends) {
        self = adopted
        reading = -1
        writing = -1
    }
}
