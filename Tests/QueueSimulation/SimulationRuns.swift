import AIOCore

/// A run that failed: how to repeat it, and what happened.
package struct SimulationFailure: CustomStringConvertible {
    package let seed: UInt64
    /// The steps that are needed.
    package let steps: [Int]
    package let reason: String
    package let story: String

    package var description: String {
        "seed \(seed): \(reason)\nwith \(steps.count) steps, the last of which are\n\(story)"
    }
}

/// Runs seeds one after the other.
package struct SimulationRuns {
    package private(set) var coverage = Coverage()
    package private(set) var steps = 0

    package init() {}

    /// Runs a queue with one seed; nil if all held.
    package mutating func runQueue(_ seed: UInt64, steps count: Int) -> SimulationFailure? {
        let simulation = Simulation(seed: seed)
        simulation.run(0..<count)
        steps += count
        coverage.add(simulation.coverage)
        guard let reason = simulation.failure else { return nil }
        let needed = shrunk(Array(0...min(simulation.step, count - 1))) {
            Simulation.failure(of: seed, steps: $0) != nil
        }
        let last = Simulation.failure(of: seed, steps: needed, tellsStory: true)
        return SimulationFailure(
            seed: seed, steps: needed, reason: last?.failure ?? "once, and not again: \(reason)",
            story: last?.story?.tail(80) ?? "")
    }

    /// Runs a loop with one seed; nil if all held.
    package mutating func runLoop(_ seed: UInt64, steps count: Int) -> SimulationFailure? {
        steps += count
        guard let first = LoopSimulation.failure(of: seed, steps: 0..<count) else { return nil }
        let needed = shrunk(Array(0...min(first.step, count - 1))) {
            LoopSimulation.failure(of: seed, steps: $0) != nil
        }
        let last = LoopSimulation.failure(of: seed, steps: needed, tellsStory: true)
        return SimulationFailure(
            seed: seed, steps: needed, reason: last?.reason ?? "once, and not again: \(first.reason)",
            story: last?.story ?? "")
    }

    /// All that happens in a run of a queue.
    package static func story(of seed: UInt64, steps: Int) -> String {
        let simulation = Simulation(seed: seed, tellsStory: true)
        simulation.run(0..<steps)
        return simulation.story?.tail(.max) ?? ""
    }

    /// Leaves out steps for as long as the run still fails: halves, quarters, and so on.
    private func shrunk(_ steps: [Int], _ fails: ([Int]) -> Bool) -> [Int] {
        var steps = steps
        var size = steps.count / 2
        while size > 0 {
            var start = 0
            while start < steps.count {
                var fewer = steps
                fewer.removeSubrange(start..<min(start + size, steps.count))
                if fails(fewer) { steps = fewer } else { start += size }
            }
            size /= 2
        }
        return steps
    }
}
