import AIO
import Testing
import UnitSupport

@testable import AIOSimulation

struct RunReleaseTests {
    /// Nothing of a run stays: neither its world nor the task of its body.
    @Test(arguments: [nil, 3, 1000]) func aRunIsReleasedWithItsEnd(_ crash: Int?) async throws {
        var options = SimulationOptions()
        options.crash = crash.map { SimulatedCrash(beforeCall: $0, rules: .posix) }
        weak var run: SimulationRun<Void>?
        let report = try await withCheckedThrowingContinuation { continuation in
            let made = SimulationRun<Void>(seed: 1, options)
            run = made
            made.start({ _ in try await FileSystem.replaceFile("/data", [1]) }, continuation)
        }
        let isCrashed = (try? report.result.get()) == nil
        #expect(isCrashed == (crash == 3), "a replacement makes some thirty calls")
        // The simulation's thread resumes this task, and lets go of the run after it.
        #expect(eventually { run == nil })
    }

    /// Neither what hangs, nor a child that still runs, nor a file that both have open.
    @Test func aRunWithAChildAndAHangIsReleasedWithItsEnd() async throws {
        var options = SimulationOptions()
        options.faults = [SimulatedFault(.hang, .always, of: "read", on: "/data")]
        options.runtime.log = { _ in }
        weak var run: SimulationRun<Void>?
        let report = try await withCheckedThrowingContinuation { continuation in
            let made = SimulationRun<Void>(seed: 1, options)
            run = made
            made.start(
                { simulation in
                    let file = try await File.open("/data", .readWrite, options: .create)
                    try await file.writeAll([1], at: 0)
                    let number = file.descriptor.number
                    let child = try ChildProcess(
                        adopting: simulation.startChild(passing: [number]) {
                            while true { try await Task.sleep(for: .seconds(1)) }
                        })
                    Task { try await file.read(upTo: 1, at: 0) }
                    Task { try await child.wait() }
                    try await Task.sleep(for: .seconds(3))
                }, continuation)
        }
        try report.result.get()
        #expect(eventually { run == nil })
    }
}
