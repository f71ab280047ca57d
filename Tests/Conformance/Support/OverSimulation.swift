import AIO
import AIOSimulation
import CSimulatedLibrary
import Glibc
import Testing

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
        try #require(sl_is_linked(), "the C library's functions are not replaced under a sanitizer")
        try await withoutActuallyEscaping(body) { body in
            try await CurrentSimulation.$isNone.withValue(false) {
                var options = SimulationOptions()
                // AIO_TEST_STORY=1 prints what each case did.
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
