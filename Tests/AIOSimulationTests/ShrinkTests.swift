import AIO
import AIOCore
import CKernel
import Testing

@testable import AIOSimulation

/// Fewer faults under which a run still fails.
struct ShrinkTests {
    private struct Violation: Error, Equatable {
        let file: String
    }

    // MARK: The algorithm

    @Test func whatIsKeptMakesItFailAndNoneOfItCanBeLeftOut() async {
        var random = SimulatedRandom(seed: 1)
        for _ in 0..<300 {
            let count = 1 + random.below(60)
            let needed = Set((0..<(1 + random.below(5))).map { _ in random.below(count) })
            let result = await DeltaDebugging.shrink(count, until: { false }) { needed.isSubset(of: $0) }
            #expect(result.kept == needed.sorted() && result.isMinimal)
        }
    }

    /// What fails for one of several reasons, some of which hide others: none is left out, even if there is a smaller
    /// set.
    @Test func noneCanBeLeftOutWhereSeveralSetsFail() async {
        var random = SimulatedRandom(seed: 2)
        for _ in 0..<300 {
            let count = 2 + random.below(30)
            let sets = (0..<3).map { _ in Set((0..<(1 + random.below(4))).map { _ in random.below(count) }) }
            let fails = { (kept: [Int]) in sets.contains { $0.isSubset(of: kept) } && kept.count % 7 != 5 }
            guard fails(Array(0..<count)) else { continue }
            let kept = await DeltaDebugging.shrink(count, until: { false }, fails).kept
            #expect(fails(kept))
            for left in kept.indices {
                var others = kept
                others.remove(at: left)
                #expect(!fails(others))
            }
        }
    }

    @Test func whatFailsByItselfNeedsNothing() async {
        var runs = 0
        let result = await DeltaDebugging.shrink(50, until: { false }) { _ in
            runs += 1
            return true
        }
        #expect(result.kept == [] && runs == 1)
    }

    @Test func theLimitOfRunsEndsTheSearchWithWhatFails() async {
        var runs = 0
        let needed: Set = [3, 40]
        let result = await DeltaDebugging.shrink(50, until: { runs >= 10 }) {
            runs += 1
            return needed.isSubset(of: $0)
        }
        #expect(!result.isMinimal && needed.isSubset(of: result.kept) && result.kept.count < 50)
    }

    // MARK: Runs

    /// Writes eight files, and does not try again those two of them whose writes failed.
    private static let careless: @Sendable (Simulation) async throws -> Void = { simulation in
        for number in 0..<8 {
            let path = Path("/file\(number)")
            for _ in 0..<3 {
                do {
                    try await FileSystem.writeFile(path, [UInt8](repeating: 7, count: 100))
                    break
                } catch {
                    if number == 2 || number == 5 { break }
                }
            }
        }
        var missing: [String] = []
        for number in [2, 5] {
            let bytes = try? await FileSystem.readFile(Path("/file\(number)"))
            if bytes?.count != 100 { missing.append("file\(number)") }
        }
        if missing.count == 2 { throw Violation(file: missing.joined(separator: ", ")) }
    }

    private static var options: SimulationOptions {
        var options = SimulationOptions()
        options.faults = [
            SimulatedFault(.error(Errno(rawValue: EIO)), .oneIn(3), of: "write"),
            SimulatedFault(.short, .oneIn(3), of: "write"),
            SimulatedFault(.error(Errno(rawValue: EINTR)), .oneIn(4), of: "openat2"),
            SimulatedFault(.bitFlip, .oneIn(2), of: "read"),
            SimulatedFault(.slow(.milliseconds(7)), .oneIn(5)),
        ]
        return options
    }

    @Test(arguments: UInt64(1)...10) func aPlanOfWhatHappenedByChanceRepeatsTheRun(seed: UInt64) async throws {
        let report = try await simulate(seed: seed, options: Self.options, Self.careless)
        var plan = SimulationOptions()
        plan.faults = report.faults.map(\.fault)
        let again = try await simulate(seed: seed, options: plan, Self.careless)
        #expect(report.faults.count > 10)
        #expect(again.traceHash == report.traceHash && again.elapsed == report.elapsed)
        #expect(again.faults == report.faults)
    }

    @Test func aRunThatFailsIsShrunkToTheFaultsThatItNeeds() async throws {
        var failures: [ShrunkFailure] = []
        for seed in UInt64(1)...10 {
            let failure = try await shrink(seed: seed, options: Self.options, Self.careless)
            let again = try await shrink(seed: seed, options: Self.options, Self.careless)
            #expect(failure?.description == again?.description && failure?.story == again?.story)
            guard let failure else { continue }
            failures.append(failure)
            #expect(failure.error as? Violation == Violation(file: "file2, file5"))
            #expect(failure.originalCount > 10 && failure.faults.count < 8, "\(failure)")
            for name in ["/file2", "/file5"] { #expect(failure.faults.contains { $0.path == name }) }
            for fault in failure.faults { #expect(failure.description.contains(fault.description)) }
            // Given back, the plan fails again, and with less it does not.
            await #expect(throws: Violation.self) {
                try await withSimulation(seed: seed, faults: failure.faults, Self.careless)
            }
            for index in failure.faults.indices {
                var fewer = failure.faults
                fewer.remove(at: index)
                try await withSimulation(seed: seed, faults: fewer, Self.careless)
            }
        }
        #expect(failures.count > 2)
    }

    @Test func aRunThatSucceedsHasNothingToShrink() async throws {
        #expect(try await shrink(seed: 1) { _ in try await FileSystem.replaceFile("/data", [1]) } == nil)
    }

    @Test func aRunThatFailsByItselfNeedsNoFault() async throws {
        let failure = try await shrink(seed: 1, options: Self.options) { simulation in
            try await Self.careless(simulation)
            throw Violation(file: "any")
        }
        #expect(failure?.faults == [])
    }

    @Test func aBodyThatDiffersFromRunToRunIsReported() async throws {
        let count = Counter()
        let error = await #expect(throws: SimulationError.self) {
            _ = try await shrink(seed: 1) { _ in
                for _ in 0..<(await count.next()) { try await FileSystem.replaceFile("/data", [1]) }
                throw Violation(file: "any")
            }
        }
        #expect(error?.reason == .unrepeatable)
    }

    private actor Counter {
        var value = 0
        func next() -> Int {
            value += 1
            return value
        }
    }

    /// The description is an expression: what it says is what the fault is.
    @Test func aFaultIsDescribedByTheExpressionThatMakesIt() {
        let fault = SimulatedFault(.error(Errno(rawValue: EIO)), .nth(3), of: "fdatasync", onExactly: "/da\"ta")
        let error = ".error(Errno(rawValue: 5) /* Input/output error (EIO) */)"
        #expect("\(fault)" == #"SimulatedFault(\#(error), .nth(3), of: "fdatasync", onExactly: "/da\"ta")"#)
        #expect(
            "\(SimulatedFault(.slow(.milliseconds(2)), .oneIn(7), on: "/"))"
                == #"SimulatedFault(.slow(.nanoseconds(2000000)), .oneIn(7), on: "/")"#)
        #expect("\(SimulatedFault(.hang, .always))" == "SimulatedFault(.hang, .always)")
    }
}
