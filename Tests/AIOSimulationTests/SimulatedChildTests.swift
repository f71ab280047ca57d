import AIO
import AIOCore
import AIOSimulation
import Testing

/// Processes that a simulated one starts, and signals.
struct SimulatedChildTests {
    /// Runs the body twice, and checks that both runs are the same.
    private func run<Value: Sendable>(
        seed: UInt64 = 5, _ body: @escaping @Sendable (Simulation) async throws -> Value
    ) async throws -> SimulationReport<Value> {
        var options = SimulationOptions()
        options.keepsStory = true
        // A process leaves things open at its end, which is reported there.
        options.runtime.log = { _ in }
        let report = try await simulate(seed: seed, options: options, body)
        let other = try await simulate(seed: seed, options: options, body)
        #expect(report.traceHash == other.traceHash && report.story == other.story)
        return report
    }

    private struct Refusal: Error {}

    // MARK: Children

    @Test(arguments: UInt64(1)...10) func theExitStatusOfAChildIsToldToAllWhoWait(seed: UInt64) async throws {
        let report = try await run(seed: seed) { simulation in
            let child = try ChildProcess(
                adopting: simulation.startChild {
                    try await Task.sleep(for: .seconds(3))
                    return 7
                })
            async let first = child.wait()
            async let second = child.wait()
            let outcomes = try await [first, second]
            #expect(throws: IOError.self) { try child.signal(.terminate) }
            return outcomes
        }
        #expect(try report.result.get() == [.exited(7), .exited(7)])
        #expect(report.elapsed >= 3_000_000_000)
    }

    @Test func aChildWritesToAPipeOfItsParentsAndToItsParentsFiles() async throws {
        let report = try await run { simulation in
            let (reader, writer) = try await Pipe.make()
            let number = writer.descriptor.number
            let child = try ChildProcess(
                adopting: simulation.startChild(passing: [number]) {
                    let output = StreamWriter(adopting: number)
                    try await FileSystem.replaceFile("/data", [4, 5])
                    try await output.writeAll([1, 2, 3])
                    // The end of the process closes it.
                    return 0
                })
            try await writer.close()
            var bytes: [UInt8] = []
            while true {
                let part = try await reader.read(upTo: 100)
                guard !part.isEmpty else { break }
                bytes += part
            }
            try await reader.close()
            #expect(try await child.wait() == .exited(0))
            return try await bytes + FileSystem.readFile("/data")
        }
        #expect(try report.result.get() == [1, 2, 3, 4, 5])
    }

    @Test func aChildReadsWhatItsParentWritesUntilTheEnd() async throws {
        let report = try await run { simulation in
            let (reader, writer) = try await Pipe.make()
            let number = reader.descriptor.number
            let child = try ChildProcess(
                adopting: simulation.startChild(passing: [number]) {
                    let input = StreamReader(adopting: number)
                    var count = 0
                    while true {
                        let part = try await input.read(upTo: 1000)
                        guard !part.isEmpty else { break }
                        count += part.count
                    }
                    try await input.close()
                    return Int32(count % 256)
                })
            try await reader.close()
            try await writer.writeAll([UInt8](repeating: 1, count: 100_007))
            try await writer.close()
            return try await child.wait()
        }
        #expect(try report.result.get() == .exited(100_007 % 256))
    }

    @Test func aChildOnlyHasTheDescriptorsThatItGets() async throws {
        let report = try await run { simulation in
            let (reader, writer) = try await Pipe.make()
            let number = writer.descriptor.number
            let child = try ChildProcess(
                adopting: simulation.startChild {
                    do {
                        try await StreamWriter(adopting: number).writeAll([1])
                        return 0
                    } catch let error as IOError {
                        return error.code == .badDescriptor ? 1 : 2
                    }
                })
            let outcome = try await child.wait()
            try await reader.close()
            try await writer.close()
            return outcome
        }
        #expect(try report.result.get() == .exited(1))
    }

    @Test func aDescriptorThatIsNotOpenCannotBePassed() async throws {
        let report = try await run { simulation in
            let error = #expect(throws: IOError.self) { _ = try simulation.startChild(passing: [12345]) { 0 } }
            return error?.code
        }
        #expect(try report.result.get() == .badDescriptor)
    }

    @Test func anErrorOfAChildGoesToStandardErrorAndIsStatusOne() async throws {
        let report = try await run { simulation in
            let child = try ChildProcess(adopting: simulation.startChild { throw Refusal() })
            return (try await child.wait(), simulation.host.output)
        }
        let (outcome, output) = try report.result.get()
        #expect(outcome == .exited(1) && output.hasPrefix("host/1001: Refusal"))
    }

    @Test(arguments: [Signal.kill, .terminate, .user1]) func aSignalEndsAChildAndItsFilesAreClosed(
        signal: Signal
    ) async throws {
        let report = try await run { simulation in
            let (reader, writer) = try await Pipe.make()
            let number = writer.descriptor.number
            let child = try ChildProcess(
                adopting: simulation.startChild(passing: [number]) {
                    let output = StreamWriter(adopting: number)
                    while true {
                        try await output.writeAll([1])
                        try await Task.sleep(for: .seconds(1))
                    }
                })
            try await writer.close()
            let wait = Task { try await child.wait() }
            #expect(try await reader.read(upTo: 1) == [1])
            try child.signal(signal)
            #expect(try await wait.value == .killed(by: signal, dumpedCore: false))
            var rest = 0
            while try await !reader.read(upTo: 100).isEmpty { rest += 1 }
            try await reader.close()
            return rest
        }
        #expect(try report.result.get() < 3)
    }

    @Test func aKilledChildChangesNothingAnyMore() async throws {
        let report = try await run { simulation in
            let child = try ChildProcess(
                adopting: simulation.startChild {
                    for number in UInt8(0)... {
                        // Whatever fails, it goes on.
                        try? await FileSystem.writeFile("/data", [number])
                        try? await Task.sleep(for: .milliseconds(10))
                        if number == 200 { break }
                    }
                    return 0
                })
            try await Task.sleep(for: .milliseconds(500))
            try child.signal(.kill)
            #expect(try await child.wait() == .killed(by: .kill, dumpedCore: false))
            let bytes = try await FileSystem.readFile("/data")
            try await Task.sleep(for: .seconds(10))
            return try await FileSystem.readFile("/data") == bytes
        }
        #expect(try report.result.get())
    }

    @Test func aParentIsToldOfItsChildsEndBySIGCHLD() async throws {
        let report = try await run { simulation in
            let signals = try Signals([.child])
            let process = try simulation.startChild { 0 }
            let received = try await signals.next()
            try await signals.close()
            let child = try ChildProcess(adopting: process)
            return (received?.signal, received?.sender?.process == process, try await child.wait())
        }
        let (signal, isChild, outcome) = try report.result.get()
        #expect(signal == .child && isChild && outcome == .exited(0))
    }

    @Test func aChildServesOnTheAddressOfItsHost() async throws {
        let report = try await run { simulation in
            let child = try ChildProcess(
                adopting: simulation.startChild {
                    let listener = try await Listener.listen(on: .v4(.any, port: 80))
                    let connection = try await listener.accept()
                    try await connection.writeAll([9])
                    try await connection.close()
                    try await listener.close()
                    return 0
                })
            let client = try simulation.addHost("client")
            try await Task.sleep(for: .seconds(1))
            let bytes = try await client.run {
                let connection = try await Connection.connect(toHost: "host", port: 80)
                let bytes = try await connection.read(upTo: 10)
                try await connection.close()
                return bytes
            }
            #expect(try await child.wait() == .exited(0))
            return bytes
        }
        #expect(try report.result.get() == [9])
    }

    @Test func aChildThatStillRunsEndsWithTheSimulation() async throws {
        let report = try await run { simulation in
            let process = try simulation.startChild {
                while true { try await Task.sleep(for: .seconds(1)) }
            }
            try await Task.sleep(for: .seconds(5))
            return process
        }
        #expect(try report.result.get() == 1001)
    }

    // MARK: Signals

    @Test func aSignalThatIsRaisedIsReceived() async throws {
        let report = try await run { simulation in
            let signals = try Signals([.terminate, .hangUp])
            simulation.raise(.terminate)
            simulation.raise(.hangUp)
            var received: [Signal] = []
            for try await signal in signals {
                received.append(signal.signal)
                if received.count == 2 { break }
            }
            try await signals.close()
            return Set(received)
        }
        #expect(try report.result.get() == [.terminate, .hangUp])
    }

    @Test func aSignalReachesTheProcessThatItIsForAndNoOther() async throws {
        let report = try await run { simulation in
            let own = try Signals([.terminate])
            let server = try simulation.addHost("server")
            let serving = Task {
                try await server.run {
                    let signals = try Signals([.terminate])
                    let received = try await signals.next()
                    try await signals.close()
                    return received?.signal
                }
            }
            try await Task.sleep(for: .seconds(1))
            server.raise(.terminate)
            let received = try await serving.value
            let error = await #expect(throws: IOError.self) { try await own.next(deadline: .after(.seconds(1))) }
            try await own.close()
            return (received, error?.code)
        }
        let (received, code) = try report.result.get()
        #expect(received == .terminate && code == .deadlineExceeded)
    }

    @Test func aChildMayReceiveTheSignalThatWouldEndIt() async throws {
        let report = try await run { simulation in
            let child = try ChildProcess(
                adopting: simulation.startChild {
                    let signals = try Signals([.terminate])
                    let received = try await signals.next()
                    try await signals.close()
                    return received?.signal == .terminate ? 3 : 4
                })
            try await Task.sleep(for: .seconds(1))
            try child.signal(.windowChange)
            try await Task.sleep(for: .seconds(1))
            try child.signal(.terminate)
            return try await child.wait()
        }
        #expect(try report.result.get() == .exited(3))
    }

    @Test func aSignalThatNothingReceivesEndsTheSimulation() async throws {
        let report = try await run { simulation in
            simulation.raise(.windowChange)
            try await Task.sleep(for: .seconds(1))
            simulation.raise(.terminate)
            try await Task.sleep(for: .seconds(1000))
        }
        let error = #expect(throws: SimulationError.self) { try report.result.get() }
        #expect(error?.reason == .killed && error?.details == "SIGTERM to host")
        #expect(report.elapsed < 2_000_000_000)
    }
}
