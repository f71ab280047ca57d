import AIO
import AIOCore
import CKernel
import Glibc
import Testing

/// Cancelling several operations: all on one descriptor, or all.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct CancelAllTests {
    @Test(arguments: engines, [false, true])
    func thoseOnOneDescriptorEndAndTheOthersGoOn(_ engine: EngineKind, _ asOperation: Bool) async throws {
        try await withQueue(engine) { queue in
            try await withConnection { one, other in
                let memory = (0..<5).map { _ in Memory(count: 1) }
                for index in 0..<3 { try queue.prepare(memory[index].receive(one), context: 1) }
                for index in 3..<5 { try queue.prepare(memory[index].receive(other), context: 2) }
                if asOperation {
                    try queue.prepare(.cancelAll(on: Descriptor(one)), context: 3)
                    try queue.waitPatiently(atLeast: 4)
                } else {
                    #expect(queue.requestCancelAll(on: Descriptor(one)) == 3)
                    try queue.waitPatiently(atLeast: 3)
                }
                let ended = queue.completions()
                #expect(ended.filter { $0.context == 1 }.map(\.result) == [-ECANCELED, -ECANCELED, -ECANCELED])
                #expect(ended.filter { $0.context == 3 }.map(\.result) == (asOperation ? [3] : []))
                #expect(queue.inFlightCount == 2)
                #expect(Glibc.send(one, [1, 2] as [UInt8], 2, 0) == 2)
                try queue.waitPatiently(atLeast: 2)
                #expect(queue.completions().map(\.result) == [1, 1])
                #expect(queue.requestCancelAll(on: Descriptor(one)) == 0)
                withExtendedLifetime(memory) {}
            }
        }
    }

    @Test(arguments: engines)
    func allEndButTheOneThatAsks(_ engine: EngineKind) async throws {
        try await withQueue(engine) { queue in
            try await Ends.with { ends in
                let memory = Memory(count: 1)
                try queue.prepare(.read(memory.transfer(ends.reading)))
                try queue.prepare(.poll(Descriptor(ends.reading), events: CK_POLLIN))
                try queue.prepare(.timeout(deadline: .max))
                try queue.prepare(.cancelAll(on: nil), context: 9)
                try queue.waitPatiently(atLeast: 4)
                let ended = queue.completions()
                #expect(ended.filter { $0.context == 9 }.map(\.result) == [3])
                #expect(ended.filter { $0.context == 0 }.map(\.result) == [-ECANCELED, -ECANCELED, -ECANCELED])
                #expect(queue.requestCancelAll() == 0)
                withExtendedLifetime(memory) {}
            }
        }
    }

    /// The operations to be cancelled occupy all slots.
    @Test(arguments: engines)
    func aRuntimeWithoutAFreePlaceCancelsAllTheSame(_ engine: EngineKind) async throws {
        try await withRuntime(
            engine,
            {
                $0.queueDepth = 4; $0.loops = 2
            }
        ) { runtime in
            try await Ends.with { ends in
                let reading = ends.reading
                let reads = (0..<4).map { _ in
                    Task {
                        let memory = Memory(count: 1)
                        return try await runtime.perform(.read(memory.transfer(reading)))
                    }
                }
                try await eventually { runtime.inFlightCount == 4 }
                #expect(try await runtime.requestCancelAll(on: Descriptor(reading + 1000)) == 0)
                #expect(try await runtime.requestCancelAll(on: Descriptor(reading)) == 4)
                for read in reads { await expectError(.cancelled) { try await read.value } }
            }
        }
    }
}
