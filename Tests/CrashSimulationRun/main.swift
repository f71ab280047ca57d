import CrashSimulation
import Glibc
import Synchronization

// crash-simulation [SUBJECT...] [SEEDS] [FIRST_SEED]: runs the histories of 1000 seeds, from 1 on, of every subject.
// Prints how far it is every ten seconds, and ends at the first failure. `crash-simulation mistakes` runs each
// deliberate mistake of every subject, and prints the seed that finds it; one that no seed up to 1000 finds is a
// failure.

let usage = """
    crash-simulation mistakes, or crash-simulation [SUBJECT...] [SEEDS] [FIRST_SEED]; subjects are \
    \(CrashSubject.allCases.map(\.rawValue).joined(separator: ", "))
    """

/// Ends the program with one line on standard error.
func end(_ status: Int32, _ reason: String) -> Never {
    var line = "crash-simulation: \(reason)\n"
    _ = line.withUTF8 { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    exit(status)
}

func refuse(_ reason: String) -> Never { end(64, "\(reason); usage: \(usage)") }

/// The subjects, and the seeds of each.
struct Request {
    var subjects: [CrashSubject] = []
    var seeds: ClosedRange<UInt64>

    init(_ arguments: ArraySlice<String>) {
        var numbers: [UInt64] = []
        for argument in arguments {
            if let subject = CrashSubject(rawValue: argument) {
                guard numbers.isEmpty else { refuse("\(argument) comes after a number") }
                guard !subjects.contains(subject) else { refuse("\(argument) is given twice") }
                subjects.append(subject)
            } else if let number = UInt64(argument), number > 0, number <= 1 << 62 {
                numbers.append(number)
            } else {
                refuse("\(argument) is neither a subject nor a number from 1 to 2^62")
            }
        }
        guard numbers.count <= 2 else { refuse("there are more than two numbers") }
        let (count, first) = (numbers.first ?? 1000, numbers.count > 1 ? numbers[1] : 1)
        seeds = first...(first + count - 1)
        if subjects.isEmpty { subjects = CrashSubject.allCases }
    }
}

/// The seeds of a subject, which several tasks share out among themselves.
final class Share: Sendable {
    private struct State {
        var next: UInt64
        var counts = CrashCounts()
        var failure: CrashFailure?
        var reported: ContinuousClock.Instant
    }

    private let subject: CrashSubject
    private let seeds: ClosedRange<UInt64>
    private let state: Mutex<State>

    init(_ subject: CrashSubject, _ seeds: ClosedRange<UInt64>) {
        self.subject = subject
        self.seeds = seeds
        state = Mutex(State(next: seeds.lowerBound, reported: .now))
    }

    /// The next seed; nil at the end, or after a failure.
    func next() -> UInt64? {
        state.withLock { state in
            guard state.failure == nil, state.next <= seeds.upperBound else { return nil }
            defer { state.next += 1 }
            return state.next
        }
    }

    func add(_ counts: CrashCounts, _ failure: CrashFailure?) {
        state.withLock { state in
            state.counts += counts
            // The least seed, so that the result does not depend on the order.
            if let failure, failure.seed < state.failure?.seed ?? .max { state.failure = failure }
            guard state.reported.duration(to: .now) > .seconds(10) else { return }
            state.reported = .now
            print(Self.line(subject, state.counts, failures: 0))
            fflush(nil)
        }
    }

    var result: (counts: CrashCounts, failure: CrashFailure?) { state.withLock { ($0.counts, $0.failure) } }

    static func line(_ subject: CrashSubject, _ counts: CrashCounts, failures: Int) -> String {
        "\(subject.rawValue): \(counts.seeds) seeds, \(counts.lives) lives, \(counts.crashes) crashes, "
            + "\(counts.checks) operations checked, \(failures) failures"
    }
}

/// Each simulation has a thread of its own, and each task runs one at a time.
@concurrent func run(_ subject: CrashSubject, _ seeds: ClosedRange<UInt64>) async throws -> CrashFailure? {
    let share = Share(subject, seeds)
    try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) {
            group.addTask {
                while let seed = share.next() {
                    let (counts, failure) = try await subject.history.result(of: seed)
                    share.add(counts, failure)
                }
            }
        }
        try await group.waitForAll()
    }
    let (counts, failure) = share.result
    if let failure {
        print(failure.story.joined(separator: "\n"))
        print("\(subject.rawValue): \(failure)")
    }
    print(Share.line(subject, counts, failures: failure == nil ? 0 : 1))
    return failure
}

/// Returns the number of mistakes that are not found.
@concurrent func runMistakes() async throws -> Int {
    var missed = 0
    for subject in CrashSubject.allCases {
        for (name, history) in subject.mistakes {
            let failure = try await history.firstFailure(in: 1...1000)
            if failure == nil { missed += 1 }
            print("\(subject.rawValue), \(name): \(failure?.description ?? "not found")")
            fflush(nil)
        }
    }
    return missed
}

if Array(CommandLine.arguments.dropFirst()) == ["mistakes"] {
    do { exit(try await runMistakes() == 0 ? 0 : 1) } catch { end(70, "\(error)") }
}
let request = Request(CommandLine.arguments.dropFirst())
do {
    for subject in request.subjects where try await run(subject, request.seeds) != nil { exit(1) }
} catch {
    end(70, "\(error)")
}
