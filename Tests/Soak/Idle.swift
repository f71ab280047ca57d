import Glibc
import UnitSupport

/// What the process has while nothing runs.
struct IdleMoment: Sendable {
    let descriptors: Int
    /// Threads that are not the library's: those of Swift's pool.
    let threads: Int
    let residentKiB: Int

    /// Waits for the threads of runtimes that were shut down, which end by themselves.
    static func reached() async throws -> IdleMoment {
        let end = ContinuousClock.now + .seconds(20)
        while libraryThreadCount() > 0 {
            guard ContinuousClock.now < end else { throw SoakFailure("threads of runtimes that were shut down remain") }
            // By time: a pause between two looks.
            try await Task.sleep(for: .milliseconds(5))
        }
        // What is free goes back to the kernel, so that what is left is in use.
        _ = trimHeap(0)
        return IdleMoment(
            descriptors: (entryNames(in: "/proc/self/fd") ?? []).count - 1,
            threads: (entryNames(in: "/proc/self/task") ?? []).count,
            residentKiB: resident())
    }

    private static func libraryThreadCount() -> Int {
        (entryNames(in: "/proc/self/task") ?? []).count { text("/proc/self/task/\($0)/comm").hasPrefix("aio-") }
    }

    private static func resident() -> Int {
        let pages = text("/proc/self/statm").split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        return pages * Int(getpagesize()) / 1024
    }

    private static func text(_ path: String) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 512)
        let count = read(descriptor, &bytes, bytes.count)
        return String(decoding: bytes[..<max(0, count)], as: UTF8.self)
    }
}

/// The idle moments of a run, and whether what the process has stays flat.
struct IdleHistory {
    /// Caches, Swift's pool and libc's own descriptors are there after so many rounds.
    static let warmUp = 4
    /// More than the allocator's arenas vary by.
    private static let slackKiB = 32 << 10

    private(set) var moments: [IdleMoment] = []

    /// Why the process has grown; nil if it has not.
    mutating func add(_ moment: IdleMoment) -> String? {
        moments.append(moment)
        guard moments.count > Self.warmUp else { return nil }
        let first = moments[Self.warmUp - 1]
        if moment.descriptors > first.descriptors {
            return "\(moment.descriptors) descriptors are open, \(first.descriptors) before"
        }
        let pool = max(first.threads, 2 * Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))) + 4)
        if moment.threads > pool { return "\(moment.threads) threads run, \(first.threads) before" }
        return nil
    }

    /// Compares the middle third with the last: the first has the warm-up.
    var memoryGrowth: String? {
        guard moments.count >= 3 * Self.warmUp else { return nil }
        let third = moments.count / 3
        let (before, after) = (median(moments[third..<(2 * third)]), median(moments[(2 * third)...]))
        guard after > before + before / 10 + Self.slackKiB else { return nil }
        return "resident memory grows: \(before) KiB in the middle third, \(after) KiB in the last"
    }

    private func median(_ moments: ArraySlice<IdleMoment>) -> Int {
        moments.map(\.residentKiB).sorted()[moments.count / 2]
    }
}

/// malloc_trim(3), which Swift's module of glibc lacks.
@_silgen_name("malloc_trim") private func trimHeap(_ pad: Int) -> Int32
