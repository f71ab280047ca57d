internal import CFibers
internal import CKernel
import Glibc
internal import Synchronization
import Testing

/// What an exploration covers.
struct Rules {
    enum Memory {
        /// All atomic operations have one order: enough where the code uses sequentially consistent orderings.
        case sequentiallyConsistent
        /// Loads may return old values as C11 permits, unless coherence, acquire and release, or the order of the
        /// sequentially consistent operations forbids it. See `SharedMemory`.
        case weak
    }
    enum Timeouts {
        /// A timeout passes when nothing else can happen.
        case whenIdle
        /// A timeout may pass at any time, up to `timeoutLimit` times a thread, and when nothing else can happen.
        case anyTime
    }

    var memory = Memory.sequentiallyConsistent
    var timeouts = Timeouts.whenIdle
    var timeoutLimit = 2
    /// An exploration that takes more executions has failed: it is not exhaustive.
    var executionLimit = 200_000
    /// Whether the scenario calls async functions.
    var hasTasks = false
    /// How often a thread may lose the baton although it could go on; nil for any number.
    var preemptionLimit: Int?
}

/// The choices that lead to an execution; searched depth-first. The state at each choice is visited once.
final class DecisionPath {
    private var choices: [(count: Int, index: Int)] = []
    private var position = 0
    private var visited: Set<UInt64> = []
    var stateCount: Int { visited.count }

    func restart() { position = 0 }

    func next() -> Int? {
        guard position < choices.count else { return nil }
        defer { position += 1 }
        return choices[position].index
    }

    func isNew(_ state: UInt64) -> Bool { visited.insert(state).inserted }

    func add(_ count: Int) -> Int {
        choices.append((count, 0))
        position += 1
        return 0
    }

    /// Moves on to the next path. False if there is none.
    func advance() -> Bool {
        while let last = choices.last {
            if last.index + 1 < last.count {
                choices[choices.count - 1].index += 1
                return true
            }
            choices.removeLast()
        }
        return false
    }
}

/// What an exploration has found.
struct Outcome {
    /// The states at which more than one continuation was possible.
    var states = 0
    /// The executions, each under a schedule of its own.
    var executions = 0
    /// What went wrong first, with the steps that lead there.
    var counterexample: String?
    var time = Duration.zero
}

/// Explorations take turns: each has the one `Execution.current`.
private let turns = Mutex(())

/// Explores all interleavings of a scenario.
func explored(_ rules: Rules = Rules(), _ scenario: @escaping (Execution) -> Void) -> Outcome {
    turns.withLock { _ in
        let exploration = Exploration(rules, scenario)
        exploration.runOnOneProcessor()
        return exploration.outcome
    }
}

/// Explores a scenario, prints the counts, and records an issue with a counterexample.
func explore(
    _ name: String, _ rules: Rules = Rules(), location: SourceLocation = #_sourceLocation,
    _ scenario: @escaping (Execution) -> Void
) {
    let outcome = explored(rules, scenario)
    let memory = rules.memory == .weak ? "weak memory" : "sequentially consistent"
    print("\(name): \(outcome.states) states, \(outcome.executions) interleavings, \(memory), \(outcome.time)")
    if let counterexample = outcome.counterexample { Issue.record("\(counterexample)", sourceLocation: location) }
}

private final class Exploration: @unchecked Sendable {
    // @unchecked: one thread uses it, and its creator waits for that thread.
    private let rules: Rules
    private let scenario: (Execution) -> Void
    private(set) var outcome = Outcome()

    init(_ rules: Rules, _ scenario: @escaping (Execution) -> Void) {
        self.rules = rules
        self.scenario = scenario
    }

    /// Only one thread at a time runs, and the baton passes several times faster within a processor.
    func runOnOneProcessor() {
        var thread = pthread_t()
        let refused = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                pinToProcessor()
                // Each execution frees what the next one needs again.
                fiber_keep_memory()
                Unmanaged<Exploration>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
        precondition(refused == 0, "no thread for the explorer")
        pthread_join(thread, nil)
    }

    private func run() {
        let begin = ContinuousClock.now
        defer { outcome.time = ContinuousClock.now - begin }
        guard let first = search(rules) else { return }
        outcome.counterexample = first
        guard outcome.executions <= rules.executionLimit else { return }
        // The fewest switches make the shortest story.
        for limit in 0..<8 {
            var limited = rules
            limited.executionLimit = .max
            limited.preemptionLimit = limit
            if let story = search(limited) {
                outcome.counterexample = story
                return
            }
        }
    }

    /// Returns a counterexample, if there is one.
    private func search(_ rules: Rules) -> String? {
        var path = DecisionPath()
        let sharing = Sharing()
        let carriers: any Carriers = rules.hasTasks ? ThreadCarriers() : Fibers()
        defer {
            carriers.stop()
            outcome.states += path.stateCount
        }
        repeat {
            outcome.executions += 1
            if sharing.hasGrown {
                sharing.restart()
                path = DecisionPath()
            }
            if outcome.executions > rules.executionLimit { return "more than \(rules.executionLimit) interleavings" }
            if execute(rules, path, carriers, sharing, isTraced: false) != nil {
                carriers.stop()
                sharing.restart()
                return execute(rules, path, carriers, sharing, isTraced: true) ?? "the failure does not repeat"
            }
        } while sharing.hasGrown || path.advance()
        return nil
    }

    private func execute(
        _ rules: Rules, _ path: DecisionPath, _ carriers: any Carriers, _ sharing: Sharing, isTraced: Bool
    ) -> String? {
        path.restart()
        let execution = Execution(rules, path, carriers, sharing, isTraced: isTraced)
        Execution.current = execution
        defer { Execution.current = nil }
        scenario(execution)
        execution.run()
        return execution.failure.map { (execution.trace ?? []).joined(separator: "\n") + "\n" + $0 }
    }
}

/// Binds the calling thread, and the threads that it starts, to one of the processors that it may use.
private func pinToProcessor() {
    withUnsafeTemporaryAllocation(byteCount: 1024, alignment: 8) { set in
        let address = Int(bitPattern: set.baseAddress)
        let count = ck_system_call_6(CK_NR_sched_getaffinity, 0, set.count, address, 0, 0, 0)
        guard count > 0, let index = set[..<count].lastIndex(where: { $0 != 0 }) else { return }
        for other in set.indices where other != index { set[other] = 0 }
        // The lowest of its bits.
        set[index] &= ~set[index] &+ 1
        _ = ck_system_call_6(CK_NR_sched_setaffinity, 0, count, address, 0, 0, 0)
    }
}
