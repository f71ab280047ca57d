import AIO
import AIOCore
import CKernel
import Testing

@testable import AIOSimulation

/// Descriptors and memory that are used up.
struct ExhaustionTests {
    /// Runs the body twice, and checks that both runs are the same.
    private func run<Value: Sendable>(
        _ faults: [SimulatedFault] = [], seed: UInt64 = 3,
        _ body: @escaping @Sendable (Simulation) async throws -> Value
    ) async throws -> SimulationReport<Value> {
        var options = SimulationOptions()
        options.faults = faults
        let report = try await simulate(seed: seed, options: options, body)
        let other = try await simulate(seed: seed, options: options, body)
        #expect(report.traceHash == other.traceHash)
        return report
    }

    @Test func noMoreFilesAreOpenThanTheProcessMayHave() async throws {
        let report = try await run { simulation in
            let host = simulation.host
            let before = host.openDescriptorCount
            host.descriptorLimit = before + 3
            var files: [File] = []
            let error = await #expect(throws: IOError.self) {
                for number in 0..<10 {
                    files.append(try await File.open(Path("/\(number)"), .write, options: .create))
                }
            }
            #expect(files.count == 3 && error?.code == .tooManyOpenFiles && error?.errno?.rawValue == EMFILE)
            // The fourth was not made.
            let missing = await #expect(throws: IOError.self) { try await FileSystem.status(of: "/3") }
            for file in files { try await file.close() }
            #expect(host.openDescriptorCount == before)
            try await FileSystem.replaceFile("/4", [1])
            return missing?.code
        }
        #expect(try report.result.get() == .notFound)
    }

    @Test func aConnectionThatFindsNoDescriptorWaitsForOne() async throws {
        let report = try await run { simulation in
            let server = try simulation.addHost("server")
            let serving = Task {
                try await server.run {
                    let listener = try await Listener.listen(on: .v4(.any, port: 80))
                    server.descriptorLimit = server.openDescriptorCount
                    let error = await #expect(throws: IOError.self) { try await listener.accept() }
                    server.descriptorLimit += 1
                    let connection = try await listener.accept()
                    try await connection.writeAll([5])
                    try await connection.close()
                    try await listener.close()
                    return error?.errno?.rawValue
                }
            }
            try await Task.sleep(for: .seconds(1))
            let connection = try await Connection.connect(toHost: "server", port: 80)
            #expect(try await connection.read(upTo: 1) == [5])
            try await connection.close()
            return try await serving.value
        }
        #expect(try report.result.get() == EMFILE)
    }

    @Test func theFilesOfAllProcessesCountForTheHost() async throws {
        let report = try await run { simulation in
            let host = simulation.host
            let file = try await File.open("/data", .write, options: .create)
            let child = try ChildProcess(
                adopting: simulation.startChild {
                    _ = try await File.open("/data")
                    try await Task.sleep(for: .seconds(1000))
                    return 0
                })
            try await Task.sleep(for: .seconds(1))
            host.openFileLimit = host.simulated.kernel.descriptors.files.count
            let error = await #expect(throws: IOError.self) { try await File.open("/data") }
            #expect(error?.errno?.rawValue == ENFILE)
            // What the child had open is free again.
            try child.signal(.kill)
            _ = try await child.wait()
            let other = try await File.open("/data")
            try await other.close()
            try await file.close()
            return error?.code
        }
        #expect(try report.result.get() == .tooManyOpenFiles)
    }

    @Test func memoryIsExhaustedByPlan() async throws {
        let report = try await run([.memoryExhausted(.nth(2))]) { _ in
            var codes: [IOError.Code?] = []
            for number in 0..<4 {
                do {
                    try await FileSystem.makeDirectory(Path("/\(number)"))
                    codes.append(nil)
                } catch let error as IOError {
                    codes.append(error.code)
                }
            }
            return codes
        }
        #expect(try report.result.get() == [nil, .outOfMemory, nil, nil])
        #expect(report.faults.map(\.fault.call) == ["mkdirat"])
    }

    @Test(arguments: UInt64(1)...20) func whatIsExhaustedByChanceLeavesNothingBehind(seed: UInt64) async throws {
        let faults: [SimulatedFault] = [
            .memoryExhausted(.oneIn(15)), .descriptorsExhausted(.oneIn(10)),
            .descriptorsExhausted(.oneIn(10), inHost: true),
        ]
        let report = try await run(faults, seed: seed) { simulation in
            let before = simulation.host.openDescriptorCount
            for number in 0..<30 {
                do {
                    try await FileSystem.replaceFile(Path("/\(number)"), [1])
                    let (one, other) = try Connection.pair()
                    try await one.close()
                    try await other.close()
                    let (reader, writer) = try await Pipe.make()
                    try await reader.close()
                    try await writer.close()
                } catch let error as IOError {
                    #expect([.outOfMemory, .tooManyOpenFiles].contains(error.code), "\(error)")
                }
            }
            return simulation.host.openDescriptorCount - before
        }
        #expect(try report.result.get() == 0)
        #expect(report.faults.count > 5)
    }
}
