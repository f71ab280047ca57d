import AIO
import AIOCore
import Glibc
import UnitSupport

/// What went wrong: a byte, a count, or an error that nothing explains.
struct SoakFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

extension SplitMix {
    /// Bytes that follow from a number.
    static func bytes(_ number: Int, count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: number &* 31 &+ $0 &* (2 &* number &+ 1) &+ $0 >> 8) }
    }
}

/// How often each thing was done, by name.
struct SoakCounts: Sendable {
    private(set) var steps: [String: Int] = [:]
    /// Steps that a limit, a cancel, a deadline or a shutdown ended.
    private(set) var disturbed = 0

    mutating func add(_ name: String) { steps[name, default: 0] += 1 }
    mutating func addDisturbed() { disturbed += 1 }

    static func += (counts: inout SoakCounts, more: SoakCounts) {
        counts.steps.merge(more.steps, uniquingKeysWith: +)
        counts.disturbed += more.disturbed
    }

    var description: String {
        let shown = steps.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
        return "\(shown); \(disturbed) ended by a limit, cancel, deadline or shutdown"
    }
}

/// The engines that work here.
let availableEngines: [EngineKind] = EngineKind.allCases.filter { engine in
    var configuration = IOQueue.Configuration()
    configuration.engine = .forced(engine)
    configuration.queueDepth = 1
    do throws(IOError) {
        _ = try IOQueue(configuration)
        return true
    } catch {
        return false
    }
}

/// One round: a runtime for each engine, with limits that chance chooses, and on each several parties that do
/// everything at once. Some runtimes are shut down in the middle.
struct SoakRound: Sendable {
    let folder: String
    let seed: UInt64
    let seconds: Double
    /// Whether descriptors, queues and workers are scarce.
    let isScarce: Bool

    func run() async throws -> SoakCounts {
        try await withThrowingTaskGroup(of: SoakCounts.self) { group in
            for (index, engine) in availableEngines.enumerated() {
                group.addTask { try await run(engine, SplitMix(seed &+ UInt64(index))) }
            }
            var counts = SoakCounts()
            for try await more in group { counts += more }
            return counts
        }
    }

    private func run(_ engine: EngineKind, _ random: SplitMix) async throws -> SoakCounts {
        var random = random
        let runtime = try IORuntime(configuration(engine, &random))
        let end = ContinuousClock.now + .seconds(seconds)
        let endsEarly = random.below(3) == 0
        let pause = Duration.seconds(seconds * Double(random.below(100)) / 100)
        let parties = (0..<6).map { index in
            SoakParty(runtime, "\(folder)/\(engine)-\(index)", SplitMix(random.next()))
        }
        let counts = try await withThrowingTaskGroup(of: SoakCounts.self) { group in
            for party in parties { group.addTask { try await party.run(until: end) } }
            if endsEarly {
                group.addTask {
                    // By time: a moment in the middle of the round, whatever happens there.
                    try await Task.sleep(for: pause)
                    await runtime.shutdown(.cancel)
                    return SoakCounts()
                }
            }
            var counts = SoakCounts()
            for try await more in group { counts += more }
            return counts
        }
        await runtime.shutdown(.drain)
        guard runtime.inFlightCount == 0, runtime.bufferBytesInUse == 0 else {
            throw SoakFailure(
                "\(engine): \(runtime.inFlightCount) operations, \(runtime.bufferBytesInUse) bytes are left")
        }
        return counts
    }

    private func configuration(_ engine: EngineKind, _ random: inout SplitMix) -> IORuntime.Configuration {
        var configuration = IORuntime.Configuration()
        configuration.engine = .forced(engine)
        configuration.log = { _ in }
        configuration.loops = 1 + random.below(2)
        configuration.inlineAttempts = random.below(2) == 0
        guard isScarce else { return configuration }
        configuration.queueDepth = 1 + random.below(8)
        configuration.waitingLimit = 1 + random.below(8)
        configuration.workerLimit = 1 + random.below(3)
        configuration.atLimit = random.below(4) == 0 ? .fail : .wait
        return configuration
    }
}
