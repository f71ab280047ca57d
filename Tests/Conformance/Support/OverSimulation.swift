import AIO
import AIOSimulation
import CSimulatedLibrary
import Glibc
import Testing
import UnitSupport

/// The seed with which the suite runs over the simulated world, in place of the engines; nil for the engines.
let simulationSeed = getenv("AIO_TEST_SIMULATION").flatMap { UInt64(String(cString: $0)) }

/// Runs each case in a simulation of its own, if `simulationSeed` says so: the C library's functions that the test
/// calls reach the simulated kernel as well.
struct OverSimulation: SuiteTrait, TestTrait, TestScoping {
    var isRecursive: Bool { true }

    @concurrent
    func provideScope(
        for test: Test, testCase: Test.Case?, performing body: @concurrent @Sendable () async throws -> Void
    ) async throws {
        guard let simulationSeed, testCase != nil, CurrentSimulation.isNone else { return try await body() }
        if let trait = test.traits.lazy.compactMap({ $0 as? NotSimulated }).first { try trait.cancel() }
        try #require(sl_is_linked(), "the C library's functions are not replaced under a sanitizer")
        try await withoutActuallyEscaping(body) { body in
            try await CurrentSimulation.$isNone.withValue(false) {
                var options = SimulationOptions()
                // AIO_TEST_STORY=1 prints what each case did.
                // A test that goes round in circles ends with an error.
                options.stepLimit = 400_000
                options.keepsStory = getenv("AIO_TEST_STORY") != nil
                let report = try await simulate(seed: simulationSeed, options: options) { _ in try await body() }
                if !report.story.isEmpty { print(report.story.joined(separator: "\n")) }
                try report.result.get()
            }
        }
    }
}

private enum CurrentSimulation {
    @TaskLocal static var isNone = true
}

extension Trait where Self == OverSimulation {
    static var overSimulation: OverSimulation { OverSimulation() }
}

/// What a test needs, and the simulated world does not have.
enum RealWorld: String, Sendable {
    case process = "another process: an exit test, a program, or a fork"
    case threads = "threads of its own"
    case mounts = "files, file systems and devices of the machine"
    case signals = "signals"
    case terminal = "a terminal"
    case engine = "an engine of the kernel's: io_uring or Linux AIO"
}

/// Leaves a test, or a suite, out of the run over the simulated world.
struct NotSimulated: SuiteTrait, TestTrait {
    let need: RealWorld
    var isRecursive: Bool { true }

    func cancel() throws { try Test.cancel("\(skipped("not simulated: \(need.rawValue)"))") }
}

extension Trait where Self == NotSimulated {
    static func notSimulated(_ need: RealWorld) -> NotSimulated { NotSimulated(need: need) }
}

/// Leaves a case out of the run over the simulated world, where the need depends on its arguments.
func needs(_ need: RealWorld) throws {
    if sl_is_simulated() { try NotSimulated(need: need).cancel() }
}
