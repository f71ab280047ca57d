import AIO
import AIOCore
import Glibc
import Testing

/// Operations that wait for a slot while others occupy all of them: cancels and closes reach these, too.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct WaitingForPlaceTests {
    @Test(arguments: engines, [false, true])
    func aCancelOfAllReachesThem(_ engine: EngineKind, _ ofAllDescriptors: Bool) async throws {
        try await withFullRuntime(engine) { runtime, ends, holders in
            try await Ends.with { others in
                let reading = others.reading
                let ended = Counter()
                let waiting = (0..<3).map { _ in
                    Task {
                        defer { ended.increment() }
                        return try await readByte(reading, runtime)
                    }
                }
                var count = 0
                // Their waiting cannot be observed, so the request is repeated.
                while ended.count < 3 {
                    count += try await runtime.requestCancelAll(on: ofAllDescriptors ? nil : .classify(reading))
                    await Task.yield()
                }
                for wait in waiting { await expectError(.cancelled) { try await wait.value } }
                if ofAllDescriptors {
                    for holder in holders { await expectError(.cancelled) { try await holder.value } }
                } else {
                    #expect(count == 3 && runtime.inFlightCount == 2)
                    ends.put([1, 2])
                    for holder in holders { #expect(try await holder.value == 1) }
                }
            }
        }
    }

    @Test(arguments: engines)
    func aCloseEndsThemWithoutWaitingForAPlace(_ engine: EngineKind) async throws {
        try await withFullRuntime(engine) { runtime, ends, holders in
            for _ in 0..<30 {
                let (one, other) = try Connection.pair(runtime: runtime)
                let reads = (0..<3).map { _ in Task { try await one.read() } }
                // Some already wait by now, others have not begun.
                await Task.yield()
                try await one.close()
                for read in reads { await expectError(.fileClosed) { try await read.value } }
                try await other.close()
            }
            #expect(runtime.inFlightCount == 2)
            ends.put([1, 2])
            for holder in holders { #expect(try await holder.value == 1) }
        }
    }

    /// A runtime whose slots for waits are all occupied by reads of a pipe.
    private func withFullRuntime(
        _ engine: EngineKind, _ body: (IORuntime, Ends, [Task<Int32, any Error>]) async throws -> Void
    ) async throws {
        try await withRuntime(engine, { $0.waitingLimit = 2 }) { runtime in
            try await Ends.with { ends in
                let reading = ends.reading
                let holders = (0..<2).map { _ in Task { try await readByte(reading, runtime) } }
                try await eventually { runtime.inFlightCount == 2 }
                try await body(runtime, ends, holders)
            }
        }
    }
}

/// The descriptor is classified, so that the read takes a slot for waits.
private func readByte(_ descriptor: Int32, _ runtime: IORuntime) async throws -> Int32 {
    let memory = Memory(count: 1)
    return try await runtime.perform(.read(Transfer(.classify(descriptor), memory.base, count: 1, offset: -1)))
}
