import AIO
import AIOCore
import AIOSimulation
import Testing

/// Calls that never return, or late.
struct HangTests {
    /// Runs the body twice, and checks that both runs are the same.
    private func run<Value: Sendable & Equatable>(
        _ faults: [SimulatedFault], _ body: @escaping @Sendable (Simulation) async throws -> Value
    ) async throws -> SimulationReport<Value> {
        var options = SimulationOptions()
        options.faults = faults
        options.keepsStory = true
        // What a hang leaves open when the body ends is reported there.
        options.runtime.log = { _ in }
        let report = try await simulate(seed: 11, options: options, body)
        let other = try await simulate(seed: 11, options: options, body)
        #expect(report.traceHash == other.traceHash && report.story == other.story)
        return report
    }

    private static func write(_ bytes: [UInt8], to path: Path) async throws {
        try await FileSystem.replaceFile(path, bytes)
    }

    @Test func aDeadlineEndsAReadThatHangs() async throws {
        let report = try await run([SimulatedFault(.hang, .nth(1), of: "read", on: "/data")]) { _ in
            try await Self.write([1, 2, 3], to: "/data")
            let file = try await File.open("/data")
            let error = await #expect(throws: IOError.self) {
                try await file.read(upTo: 3, at: 0, deadline: .after(.seconds(5)))
            }
            #expect(error?.code == .deadlineExceeded)
            // The fault was for one call alone.
            let bytes = try await file.read(upTo: 3, at: 0)
            try await file.close()
            return bytes
        }
        #expect(try report.result.get() == [1, 2, 3])
        #expect(report.elapsed >= 5_000_000_000)
        #expect(report.story.contains { $0.hasSuffix("= hangs") })
    }

    @Test func aCancelEndsASyncThatHangs() async throws {
        let report = try await run([SimulatedFault(.hang, .always, of: "fdatasync")]) { _ in
            let file = try await File.open("/data", .readWrite, options: .create)
            let sync = Task { try await file.sync(.data) }
            try await Task.sleep(for: .seconds(1))
            sync.cancel()
            let error = await #expect(throws: IOError.self) { try await sync.value }
            try await file.close()
            return error?.code
        }
        #expect(try report.result.get() == .cancelled)
    }

    @Test func aDeadlineEndsWorkOfSeveralCallsOfWhichOneHangs() async throws {
        let report = try await run([SimulatedFault(.hang, .nth(1), of: "read", on: "/data")]) { simulation in
            try await Self.write([1, 2, 3], to: "/data")
            let error = await #expect(throws: IOError.self) {
                try await FileSystem.readFile("/data", deadline: .after(.seconds(5)))
            }
            #expect(error?.code == .deadlineExceeded)
            return try await FileSystem.readFile("/data")
        }
        #expect(try report.result.get() == [1, 2, 3])
    }

    /// The attempt on the calling thread must not wait, and the open after it hangs.
    @Test func aDeadlineEndsAnOpenThatHangs() async throws {
        for hang in [SimulatedFault.Effect.hang, .slow(.seconds(20))] {
            let report = try await run([SimulatedFault(hang, .nth(1), of: "openat2", on: "/slow")]) { _ in
                try await Self.write([1, 2, 3], to: "/data")
                try await FileSystem.rename("/data", to: "/slow")
                let error = await #expect(throws: IOError.self) {
                    try await File.open("/slow", deadline: .after(.seconds(5)))
                }
                #expect(error?.code == .deadlineExceeded)
                return try await FileSystem.readFile("/slow")
            }
            #expect(try report.result.get() == [1, 2, 3])
            #expect(report.elapsed >= 5_000_000_000 && report.elapsed < 6_000_000_000)
        }
    }

    @Test func whileAReadHangsOtherTasksGoOn() async throws {
        let report = try await run([SimulatedFault(.hang, .nth(1), of: "read", on: "/slow")]) { _ in
            try await Self.write([1], to: "/slow")
            try await Self.write([2], to: "/fast")
            let hanging = Task { try await FileSystem.readFile("/slow") }
            for _ in 0..<10 {
                #expect(try await FileSystem.readFile("/fast") == [2])
                try await Task.sleep(for: .milliseconds(100))
            }
            hanging.cancel()
            return await hanging.result.failure?.code
        }
        #expect(try report.result.get() == .cancelled)
        #expect(report.elapsed >= 1_000_000_000 && report.elapsed < 2_000_000_000)
    }

    @Test func aSlowCallIsExecutedWhenItsTimeIsOver() async throws {
        let faults = [SimulatedFault(.slow(.seconds(3)), .nth(1), of: "read", on: "/data")]
        let report = try await run(faults) { _ in
            try await Self.write([1, 2, 3], to: "/data")
            let start = ContinuousClock.now
            #expect(try await FileSystem.readFile("/data") == [1, 2, 3])
            return start.duration(to: .now) >= .seconds(3)
        }
        #expect(try report.result.get())
        #expect(report.elapsed < 4_000_000_000)
    }

    /// A call in the middle of work goes on where it is: what came before is not done again.
    @Test func workGoesOnAfterASlowCallInItsMiddle() async throws {
        let faults = [SimulatedFault(.slow(.seconds(3)), .nth(1), of: "write", on: "/new")]
        let report = try await run(faults) { _ in
            // A second open would find the file of the first.
            try await FileSystem.writeFile("/new", [1, 2, 3], options: [.create, .exclusive])
            return try await FileSystem.readFile("/new")
        }
        #expect(try report.result.get() == [1, 2, 3])
        #expect(report.elapsed >= 3_000_000_000)
    }

    @Test func aReceiveThatHangsEndsByItsDeadlineAndByAShutdown() async throws {
        let report = try await run([SimulatedFault(.hang, .nth(1), of: "recvfrom")]) { _ in
            let (one, other) = try Connection.pair()
            _ = try await other.write([7])
            let error = await #expect(throws: IOError.self) {
                try await one.read(upTo: 1, deadline: .after(.seconds(1)))
            }
            #expect(error?.code == .deadlineExceeded)
            // The socket still does not answer, although there is data.
            let second = await #expect(throws: IOError.self) {
                try await one.read(upTo: 1, deadline: .after(.seconds(1)))
            }
            #expect(second?.code == .deadlineExceeded)
            try one.shutdownWrite()
            let bytes = try await one.read(upTo: 1)
            try await one.close()
            try await other.close()
            return bytes
        }
        #expect(try report.result.get() == [7])
    }

    @Test func aSlowReceiveGoesOnByItself() async throws {
        let report = try await run([SimulatedFault(.slow(.seconds(2)), .nth(1), of: "recvfrom")]) { _ in
            let (one, other) = try Connection.pair()
            _ = try await other.write([7])
            let bytes = try await one.read(upTo: 1)
            try await one.close()
            try await other.close()
            return bytes
        }
        #expect(try report.result.get() == [7])
        #expect(report.elapsed >= 2_000_000_000)
    }

    @Test func aConnectThatHangsEndsByItsDeadline() async throws {
        let report = try await run([SimulatedFault(.hang, .nth(1), of: "connect")]) { simulation in
            let server = try simulation.addHost("server")
            let serving = Task {
                try await server.run {
                    let listener = try await Listener.listen(on: .v4(.any, port: 80))
                    for try await connection in listener.connections { try await connection.close() }
                }
            }
            let error = await #expect(throws: IOError.self) {
                try await Connection.connect(toHost: "server", port: 80, deadline: .after(.seconds(2)))
            }
            let second = try await Connection.connect(toHost: "server", port: 80, deadline: .after(.seconds(2)))
            try await second.close()
            serving.cancel()
            _ = await serving.result
            return error?.code
        }
        #expect(try report.result.get() == .deadlineExceeded)
    }

    @Test func aBodyThatWaitsForWhatHangsEndsInADeadlockThatNamesTheCall() async throws {
        for call in ["openat2", "read"] {
            let report = try await run([SimulatedFault(.hang, .always, of: call, on: "/data")]) { _ in
                try await Self.write([1], to: "/data")
                return try await FileSystem.readFile("/data")
            }
            let error = #expect(throws: SimulationError.self) { try report.result.get() }
            #expect(error?.reason == .deadlock)
            #expect(error?.details.contains("/data") == true && error?.details.contains("hangs") == true)
        }
    }

    /// A call outside of any operation stops its task alone.
    @Test func aSocketThatIsNeverMadeStopsItsTaskAndNoOther() async throws {
        let report = try await run([SimulatedFault(.hang, .nth(1), of: "socketpair")]) { _ in
            let stuck = Task { try Connection.pair() }
            try await Task.sleep(for: .seconds(1))
            try await Self.write([1], to: "/data")
            _ = stuck
            return try await FileSystem.readFile("/data")
        }
        #expect(try report.result.get() == [1])
    }

    @Test func whatHangsEndsWithTheBody() async throws {
        let report = try await run([SimulatedFault(.hang, .always, of: "read", on: "/data")]) { _ in
            try await Self.write([1], to: "/data")
            for _ in 0..<3 {
                Task { try await FileSystem.readFile("/data") }
                Task { try await File.open("/data").read(upTo: 1, at: 0) }
            }
            try await Task.sleep(for: .seconds(1))
            return 7
        }
        #expect(try report.result.get() == 7)
    }

    @Test func whatHangsEndsWhenThePowerGoesOff() async throws {
        var options = SimulationOptions()
        options.faults = [SimulatedFault(.hang, .always, of: "read", on: "/data")]
        let report = try await simulate(seed: 1, options: options) { simulation in
            try await Self.write([1], to: "/data")
            Task {
                try await Task.sleep(for: .seconds(1))
                simulation.crash()
            }
            _ = try await FileSystem.readFile("/data")
        }
        let error = #expect(throws: SimulationError.self) { try report.result.get() }
        #expect(error?.reason == .crashed)
    }

    @Test(arguments: UInt64(1)...20) func callsHangByChanceTheSameInEachRun(seed: UInt64) async throws {
        var options = SimulationOptions()
        options.faults = [
            SimulatedFault(.hang, .oneIn(10)), SimulatedFault(.slow(.milliseconds(300)), .oneIn(5)),
        ]
        options.keepsStory = true
        let body: @Sendable (Simulation) async throws -> Int = { _ in
            var done = 0
            for number in 0..<20 {
                do {
                    let deadline = Deadline.after(.seconds(1))
                    try await FileSystem.writeFile("/data", [UInt8(number)], deadline: deadline)
                    done += 1
                } catch let error as IOError {
                    #expect(error.code == .deadlineExceeded, "\(error)")
                }
            }
            return done
        }
        let report = try await simulate(seed: seed, options: options, body)
        let other = try await simulate(seed: seed, options: options, body)
        #expect(report.traceHash == other.traceHash)
        #expect(try report.result.get() < 20)
    }
}

extension Result where Failure == any Error {
    /// The error of the library; nil for another, and for a success.
    fileprivate var failure: IOError? {
        if case .failure(let error) = self { error as? IOError } else { nil }
    }
}
