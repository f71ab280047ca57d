// soak MINUTES [SEED]: everything at once over every engine, with verification of every byte, in rounds. Between two
// rounds all runtimes are shut down, and the process must have no more descriptors, threads and memory than before.
// Prints the counts each minute and at the end; ends at the first failure.
import AIO
import Glibc
import UnitSupport

func complain(_ text: String) {
    var line = "soak: \(text)\n"
    _ = line.withUTF8 { write(STDERR_FILENO, $0.baseAddress, $0.count) }
}

func soak(_ duration: Duration, _ seed: UInt64) async throws {
    var template = Array("/var/tmp/aio-soak-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw SoakFailure("mkdtemp: errno \(errno)") }
    let folder = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    defer { print("engines: \(availableEngines.map(\.description).joined(separator: ", ")); seed \(seed)") }
    do { try await soak(duration, seed, in: folder) } catch {
        try? await FileSystem.removeRecursively(Path(folder))
        throw error
    }
    try await FileSystem.removeRecursively(Path(folder))
}

func soak(_ duration: Duration, _ seed: UInt64, in folder: String) async throws {
    var (counts, history, random) = (SoakCounts(), IdleHistory(), SplitMix(seed))
    let start = ContinuousClock.now
    var reported = start
    var limits = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits)
    while start.duration(to: .now) < duration {
        let isScarce = history.moments.count % 3 == 2
        let open = history.moments.last?.descriptors ?? 16
        // Enough for the engines of all runtimes, and short for what the parties do.
        if isScarce { setDescriptorLimit(rlim_t(open + 48 + random.below(64)), limits) }
        defer { setDescriptorLimit(limits.rlim_cur, limits) }
        let left = (duration - start.duration(to: .now)) / .seconds(1)
        let round = SoakRound(
            folder: folder, seed: random.next(), seconds: min(max(left, 0.1), 0.5 + Double(random.below(3))),
            isScarce: isScarce)
        counts += try await round.run()
        setDescriptorLimit(limits.rlim_cur, limits)
        let moment = try await IdleMoment.reached()
        if let growth = history.add(moment) { throw SoakFailure(growth) }
        guard reported.duration(to: .now) > .seconds(60) else { continue }
        reported = .now
        report(counts, history)
    }
    report(counts, history)
    if let growth = history.memoryGrowth { throw SoakFailure(growth) }
}

func setDescriptorLimit(_ soft: rlim_t, _ limits: rlimit) {
    var changed = rlimit(rlim_cur: soft, rlim_max: limits.rlim_max)
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &changed)
}

func report(_ counts: SoakCounts, _ history: IdleHistory) {
    guard let last = history.moments.last else { return }
    print("\(history.moments.count) rounds: \(counts.description)")
    print("idle: \(last.residentKiB) KiB resident, \(last.descriptors) descriptors, \(last.threads) threads")
    fflush(nil)
}

let arguments = CommandLine.arguments.dropFirst()
guard let minutes = arguments.first.flatMap({ Double($0) }), minutes > 0, minutes <= 100_000, arguments.count <= 2,
    let seed = arguments.count == 2 ? UInt64(arguments.last ?? "") : UInt64.random(in: 1...(1 << 32))
else {
    complain("give it MINUTES, more than 0, and if you like a SEED")
    exit(64)
}
do { try await soak(.seconds(minutes * 60), seed) } catch {
    complain("seed \(seed): \(error)")
    exit(1)
}
