import AIO
import AIOCore
import AIOSimulation
import Testing

/// The sleeps in these tests are on the virtual clock, and take no time.
struct SimulationTests {
    @Test func anHourOfTimersTakesNoTime() async throws {
        let report = try await simulate(seed: 1) { _ in
            for _ in 0..<3600 {
                _ = try await IORuntime.shared.perform(.timeout(deadline: Kernel.now() + 1_000_000_000))
            }
            return 7
        }
        #expect(try report.result.get() == 7)
        #expect(report.elapsed >= 3600 * 1_000_000_000)
    }

    @Test func anUnstructuredTaskStaysInTheSimulation() async throws {
        let report = try await simulate(seed: 2) { _ in await Task { 7 }.value }
        #expect(try report.result.get() == 7)
    }

    @Test func anActorStaysInTheSimulation() async throws {
        actor Counter {
            var value = 0
            func add() { value += 1 }
        }
        let report = try await simulate(seed: 2) { _ in
            let counter = Counter()
            await withTaskGroup { group in
                for _ in 0..<10 { group.addTask { await counter.add() } }
            }
            return await counter.value
        }
        #expect(try report.result.get() == 10)
    }

    @Test func sleepOfNanosecondsStaysInTheSimulation() async throws {
        let report = try await simulate(seed: 2) { _ in
            try await Task.sleep(nanoseconds: 5_000_000_000)
        }
        try report.result.get()
        #expect(report.elapsed >= 5 * 1_000_000_000)
    }

    @Test func sleepOnAClockStaysInTheSimulation() async throws {
        let report = try await simulate(seed: 2) { _ in
            try await Task.sleep(for: .seconds(5))
        }
        try report.result.get()
        #expect(report.elapsed >= 5 * 1_000_000_000)
    }

    @Test func anUnstructuredTaskSleepsInTheSimulation() async throws {
        let report = try await simulate(seed: 2) { _ in
            try await Task {
                try await Task.sleep(for: .seconds(5))
                try await Task.sleep(nanoseconds: 5_000_000_000)
            }.value
            try await Task.detached {
                try await Task.sleep(for: .seconds(5))
            }.value
        }
        try report.result.get()
        #expect(report.elapsed >= 15 * 1_000_000_000)
    }

    @Test func aSleepIsCancelledInTheSimulation() async throws {
        let report = try await simulate(seed: 2) { _ in
            let task = Task { try await Task.sleep(for: .seconds(5000)) }
            try await Task.sleep(for: .seconds(1))
            task.cancel()
            _ = await task.result
        }
        try report.result.get()
        #expect(report.elapsed < 2 * 1_000_000_000)
    }

    @Test func aDeadlockIsNamed() async throws {
        await #expect(throws: SimulationError.self) {
            try await withSimulation(seed: 3) { _ in
                await withUnsafeContinuation { (_: UnsafeContinuation<Void, Never>) in }
            }
        }
    }

    @Test(arguments: 1...20) func oneSeedGivesOneRun(seed: Int) async throws {
        let body: @Sendable (Simulation) async throws -> [Int] = { simulation in
            try await withThrowingTaskGroup(of: Int.self) { group in
                for index in 0..<20 {
                    group.addTask {
                        try await Task.sleep(for: .milliseconds(simulation.random(in: 0..<5)))
                        simulation.note("task \(index)")
                        return index
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
        }
        let one = try await simulate(seed: UInt64(seed), body)
        let other = try await simulate(seed: UInt64(seed), body)
        #expect(try one.result.get() == other.result.get())
        #expect(one.traceHash == other.traceHash)
        #expect(one.stepCount == other.stepCount)
    }

    /// What the threads of all simulations share, such as the lock of the library's descriptor numbers, costs none of
    /// them any time of its own.
    @Test func simulationsAtTheSameTimeAreAsIfAlone() async throws {
        let body: @Sendable (Simulation) async throws -> Void = { _ in
            for _ in 0..<20 {
                let runtime = try IORuntime()
                let (one, other) = try Connection.pair(runtime: runtime)
                try await one.close()
                try await other.close()
                await runtime.shutdown(.drain)
            }
        }
        let alone = try await simulate(seed: 1, body)
        try alone.result.get()
        try await withThrowingTaskGroup(of: SimulationReport<Void>.self) { group in
            for _ in 0..<24 { group.addTask { try await simulate(seed: 1, body) } }
            for try await report in group {
                #expect(report.traceHash == alone.traceHash && report.elapsed == alone.elapsed)
            }
        }
    }

    @Test func otherSeedsGiveOtherOrders() async throws {
        var orders: Set<[Int]> = []
        for seed in UInt64(1)...20 {
            orders.insert(
                try await withSimulation(seed: seed) { _ in
                    await withTaskGroup(of: Int.self) { group in
                        for index in 0..<5 { group.addTask { index } }
                        return await group.reduce(into: []) { $0.append($1) }
                    }
                })
        }
        #expect(orders.count > 5)
    }

    @Test func clocksAndRandomNumbersAreTheSeeds() async throws {
        let body: @Sendable (Simulation) async throws -> [UInt64] = { _ in
            let start = ContinuousClock.now
            var generator = SystemRandomNumberGenerator()
            let numbers = (0..<3).map { _ in generator.next() } + [UInt64.random(in: 0...1000)]
            try await Task.sleep(until: start + .microseconds(1500), clock: .continuous)
            #expect(start.duration(to: .now) == .microseconds(1500))
            return numbers
        }
        let one = try await simulate(seed: 5, body)
        #expect(try await one.result.get() == simulate(seed: 5, body).result.get())
        #expect(try await one.result.get() != simulate(seed: 6, body).result.get())
    }

    @Test func theBodyHasTheCallersTaskLocalValues() async throws {
        enum Local { @TaskLocal static var value = 0 }
        let seen = try await Local.$value.withValue(7) {
            try await withSimulation(seed: 1) { _ in Local.value }
        }
        #expect(seen == 7)
    }

    @Test func aCancelledCallerCancelsTheBody() async throws {
        let task = Task {
            try await withSimulation(seed: 1) { _ in
                while !Task.isCancelled { await Task.yield() }
                return 3
            }
        }
        task.cancel()
        #expect(try await task.value == 3)
    }

    @Test func aQueueWaitsForItsOperationsWhileTimePasses() async throws {
        let report = try await simulate(seed: 4) { _ in
            let queue = try IOQueue()
            let late = Operation.timeout(deadline: Kernel.now() + 5_000_000_000)
            return (try queue.blockingPerform(.nop), try queue.blockingPerform(late))
        }
        #expect(try report.result.get() == (0, 0))
        #expect(report.elapsed >= 5_000_000_000)
    }

    @Test func aQueueThatWaitsForWhatCannotHappenEndsInADeadlock() async throws {
        let report = try await simulate(seed: 4) { _ in
            let (reader, writer) = try await Pipe.make()
            let queue = try IOQueue()
            _ = try queue.blockingPerform(.poll(reader.descriptor, events: 1))
            try await reader.close()
            try await writer.close()
        }
        let error = #expect(throws: SimulationError.self) { try report.result.get() }
        #expect(error?.reason == .deadlock)
    }

    @Test func aTaskThatOnlyYieldsDoesNotStopTheClock() async throws {
        let report = try await simulate(seed: 4) { _ in
            let sleep = Task { try await Task.sleep(for: .milliseconds(20)) }
            let start = ContinuousClock.now
            while start.duration(to: .now) < .milliseconds(20) { await Task.yield() }
            try await sleep.value
        }
        try report.result.get()
        #expect(report.elapsed < 1_000_000_000)
    }

    @Test func aThreadThatWaitsLetsTheOtherTasksGoOn() async throws {
        try await withSimulation(seed: 4) { _ in
            let runtime = try IORuntime(IORuntime.Configuration())
            let sleep = Task { try await runtime.sleep(until: .now + .seconds(3600)) }
            while runtime.inFlightCount == 0 { await Task.yield() }
            // Waits for the loop, whose turn nobody but this thread can take.
            runtime.blockingShutdown(.cancel)
            let error = await #expect(throws: IOError.self) { try await sleep.value }
            #expect(error?.code == .cancelled)
        }
    }

    @Test func aQueueWaitsWhileAnotherTaskWritesWhatItReads() async throws {
        try await withSimulation(seed: 4) { _ in
            let (reader, writer) = try await Pipe.make()
            let writing = Task {
                try await Task.sleep(for: .milliseconds(5))
                _ = try await writer.write([1])
            }
            let queue = try IOQueue()
            #expect(try queue.blockingPerform(.poll(reader.descriptor, events: 1)) == 1)
            try await writing.value
            try await reader.close()
            try await writer.close()
        }
    }

    @Test(arguments: UInt64(1)...10) func theExampleOfTheReadmeHolds(seed: UInt64) async throws {
        var options = SimulationOptions()
        options.crash = SimulatedCrash(beforeCall: 40, rules: .posix)
        let report = try await simulate(seed: seed, options: options) { _ in
            for number in 1...100 { try await FileSystem.replaceFile("/data", Array("\(number)".utf8)) }
        }
        var next = SimulationOptions()
        next.disk = report.disk
        let text = try await withSimulation(seed: seed, options: next) { _ in
            try await FileSystem.readFile("/data")
        }
        #expect((1...100).contains(Int(String(decoding: text, as: UTF8.self)) ?? 0))
    }
}
