import Glibc
import QueueSimulation

// queue-simulation [--seeds A..B] [--steps N] [--loops N]: runs queues with the seeds, and after every N of them a
// loop. Prints how far it is every ten seconds, and ends at the first failure.

var seeds: ClosedRange<UInt64> = 1...1000
var steps = 1000
var loops: UInt64 = 16
var arguments = CommandLine.arguments.dropFirst()

func usage() -> Never {
    print("usage: queue-simulation [--seeds A..B] [--steps N] [--loops N]")
    exit(2)
}

while let name = arguments.popFirst() {
    guard let value = arguments.popFirst() else { usage() }
    let bounds = value.split(separator: ".").compactMap { UInt64($0) }
    switch (name, bounds.first, bounds.last) {
    case ("--seeds", let first?, let last?) where first <= last: seeds = first...last
    case ("--steps", let count?, _) where count > 0: steps = Int(count)
    case ("--loops", let count?, _) where count > 0: loops = count
    default: usage()
    }
}

var runs = SimulationRuns()
let start = ContinuousClock.now
var reported = start

@MainActor func report(_ seed: UInt64) {
    let seconds = start.duration(to: .now) / .seconds(1)
    print("seed \(seed): \(runs.steps) steps, \(Int(Double(runs.steps) / max(seconds, 0.001))) steps/s")
    fflush(nil)
}

for seed in seeds {
    let failure = runs.runQueue(seed, steps: steps) ?? (seed % loops == 0 ? runs.runLoop(seed, steps: steps) : nil)
    if let failure {
        print(failure)
        exit(1)
    }
    if reported.duration(to: .now) > .seconds(10) {
        reported = .now
        report(seed)
    }
}
report(seeds.upperBound)
for (name, count) in runs.coverage.counts { print("\(name): \(count)") }
