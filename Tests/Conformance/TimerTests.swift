import AIO
import Testing

/// Sleeps, and ticks that do not accumulate.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct TimerTests {
    @Test(arguments: engines)
    func aSleepLastsAsLongAsItIsTo(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            let end = Deadline.after(.milliseconds(20))
            try await runtime.sleep(for: .milliseconds(20))
            #expect(.now >= end)
            try await runtime.sleep(for: .seconds(-1))
            let sleep = Task { try await runtime.sleep(for: .seconds(3600)) }
            try await eventually { runtime.inFlightCount == 1 }
            sleep.cancel()
            await expectError(.cancelled) { try await sleep.value }
        }
    }

    @Test(arguments: engines)
    func ticksComeWhenTheyAreDueAndDoNotDrift(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            let first = Deadline.after(.milliseconds(3))
            var last = 0
            for try await tick in runtime.ticks(every: .milliseconds(2), from: first) {
                #expect(.now >= tick.due)
                #expect(tick.count >= 1)
                last += tick.count
                #expect(tick.due == first + .milliseconds(2) * (last - 1))
                if last >= 10 { break }
            }
            #expect(runtime.inFlightCount == 0, "nothing goes on when the loop is left")
        }
    }

    @Test(arguments: engines)
    func missedTicksAreCountedAndNotMadeUpFor(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            let first = Deadline.now
            var ticks = runtime.ticks(every: .milliseconds(5), from: first).makeAsyncIterator()
            var last = try #require(try await ticks.next()).count
            try await runtime.sleep(until: first + .milliseconds(5) * (last + 3))
            let tick = try #require(try await ticks.next())
            #expect(tick.count >= 4)
            last += tick.count
            #expect(tick.due == first + .milliseconds(5) * (last - 1))
            let next = try #require(try await ticks.next())
            #expect(next.due == tick.due + .milliseconds(5) * next.count)
        }
    }

    @Test(arguments: engines)
    func aCancelEndsTheTicks(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            let wait = Task {
                for try await tick in runtime.ticks(every: .seconds(3600)) { Issue.record("\(tick)") }
            }
            try await eventually { runtime.inFlightCount == 1 }
            wait.cancel()
            try await wait.value
            for interval in [Duration.zero, .seconds(-1)] {
                var ticks = runtime.ticks(every: interval).makeAsyncIterator()
                await expectError(.invalidArgument) { try await ticks.next() }
            }
            let never = Task {
                var ticks = runtime.ticks(every: .seconds(Int64.max)).makeAsyncIterator()
                return try await ticks.next()
            }
            try await eventually { runtime.inFlightCount == 1 }
            never.cancel()
            #expect(try await never.value == nil)
        }
    }
}
