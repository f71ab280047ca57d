import AIO
import Glibc
import UnitSupport

/// One task of a round, with a folder of its own.
final class SoakParty: @unchecked Sendable {
    // @unchecked: only its task uses it; what that starts gets values.
    let runtime: IORuntime
    let folder: String
    var random: SplitMix
    private var counts = SoakCounts()

    init(_ runtime: IORuntime, _ folder: String, _ random: SplitMix) {
        self.runtime = runtime
        self.folder = folder
        self.random = random
    }

    /// What limits, cancels, deadlines and a shutdown may end a step with. After the end of one side, the other side
    /// of a connection sees a reset or a broken pipe.
    private static let disturbances: Set<IOError.Code> = [
        .cancelled, .deadlineExceeded, .runtimeShutDown, .limitReached, .tooManyOpenFiles, .fileClosed,
        .connectionReset, .brokenPipe, .notConnected, .unexpectedEndOfFile,
    ]

    func run(until end: ContinuousClock.Instant) async throws -> SoakCounts {
        guard mkdir(folder, 0o700) == 0 || errno == EEXIST else { throw SoakFailure("mkdir of \(folder): \(errno)") }
        while ContinuousClock.now < end {
            let (name, step) = Self.steps[random.below(Self.steps.count)]
            do {
                try await step(self)
                counts.add(name)
            } catch let error as IOError {
                guard Self.disturbances.contains(error.code) else { throw SoakFailure("\(name): \(error)") }
                counts.addDisturbed()
                // Every step would fail from now on.
                if error.code == .runtimeShutDown { break }
            }
        }
        return counts
    }

    private typealias Step = @Sendable (SoakParty) async throws -> Void
    private static let steps: [(String, Step)] = [
        ("rewrites", { try await $0.rewrite() }), ("appends", { try await $0.append() }),
        ("replacements", { try await $0.replace() }), ("copies", { try await $0.copyTree() }),
        ("TCP connections", { try await $0.talkOverTCP() }), ("UNIX pairs", { try await $0.talkOverPair() }),
        ("pipes", { try await $0.talkOverPipe() }), ("datagrams", { try await $0.sendDatagrams() }),
        ("children", { try await $0.waitForChild() }), ("timers", { try await $0.sleepAWhile() }),
        ("cancels", { try await $0.waitInVain() }),
    ]

    func require(_ holds: Bool, _ description: @autoclosure () -> String) throws {
        if !holds { throw SoakFailure("\(folder): \(description())") }
    }

    /// Mostly none; sometimes one that passes meanwhile.
    func deadline() -> Deadline {
        switch random.below(8) {
        case 0: .after(.microseconds(random.below(300)))
        case 1: .after(.milliseconds(2))
        default: .never
        }
    }

    /// A party's wait for another that a full runtime may not let in.
    var limit: Deadline { .after(.seconds(5)) }

    /// Runs `body`, and then `close`, whatever `body` did.
    static func using<Value>(
        _ close: () async throws -> Void, _ body: () async throws -> Value
    ) async throws -> Value {
        let value: Value
        do { value = try await body() } catch {
            try? await close()
            throw error
        }
        try await close()
        return value
    }
}
