import AIO
import FaultInjection
import Glibc
import Testing
import UnitSupport

/// Something that the library does: the scene, what is done, and what must hold afterwards.
struct FaultScenario: Sendable {
    let name: String
    /// Sets the scene without the library, the same for each run, in an empty folder.
    var prepare: @Sendable (Scratch) throws -> Void = { _ in }
    /// Records an issue if it succeeds and the result is wrong.
    let body: @Sendable (Scratch, IORuntime) async throws -> Void
    /// What must hold after a success (nil), and after an error.
    var verify: @Sendable (Scratch, IOError?) throws -> Void = { _, _ in }
    /// Whether each error names a path.
    var namesPath = true
    /// Errnos that the scenario cannot meet, or for which something else is promised, which other tests show.
    var without: [Int32] = []
    /// Whether transfers may be cut short: records cannot.
    var takesShort = true

    func meets(_ action: FaultRule.Action) -> Bool {
        switch action {
        case .fail(let errno): !without.contains(errno)
        case .short: takesShort
        case .slow, .hang: true
        }
    }
}

/// Runs scenarios again and again, each time with another one of their system calls failing.
///
/// Only for exit tests: the faults are for the whole process, and descriptors and threads are counted.
struct FaultWalk {
    let scratch: Scratch
    let runtime: IORuntime
    let plan: FaultPlan
    /// Which calls: those under this path, or all.
    let path: String?
    private let count = FaultCount()

    init(_ scratch: Scratch, _ runtime: IORuntime, _ plan: FaultPlan, under path: String?) {
        (self.scratch, self.runtime) = (scratch, runtime)
        (self.plan, self.path) = (plan, path)
    }

    /// Runs each scenario in a process of its own, over this engine.
    static func walk(_ scenarios: [FaultScenario], _ engine: String, everywhere: Bool = false) async throws {
        let kind = try #require(EngineKind(engine))
        let plan = FaultPlan()
        plan.install()
        let threadsBefore = threads()
        try await withTreeScratch { scratch in
            try await withRuntime(kind) { runtime in
                for scenario in scenarios {
                    let walk = FaultWalk(scratch, runtime, plan, under: everywhere ? nil : scratch.folder)
                    try await walk.run(scenario)
                }
            }
        }
        try await eventually { threads().subtracting(threadsBefore).allSatisfy { !threadName($0).hasPrefix("aio-") } }
    }

    private func run(_ scenario: FaultScenario) async throws {
        // Twice: the first run may start workers, and fill caches.
        for _ in 0..<2 { try await runOnce(scenario, nil) }
        let calls = try await runOnce(scenario, nil).filter { !PossibleFaults.isLeftOut($0) }
        #expect(!calls.isEmpty, "\(scenario.name) makes no call")
        var ordinals: [String: Int] = [:]
        for call in calls {
            ordinals[call, default: 0] += 1
            for action in PossibleFaults.actions(for: call) where scenario.meets(action) {
                try await runOnce(scenario, FaultRule(call, under: path, ordinal: ordinals[call], action))
            }
        }
        // Nothing is broken for those who come later.
        try await runOnce(scenario, nil)
        // A run may take another turn than the one that was recorded, but most are alike.
        let areMostMet = count.fired > 0 && (path == nil || count.missed.count * 10 <= count.fired)
        #expect(areMostMet, "\(scenario.name): \(count.fired) faults, not met: \(count.missed)")
    }

    /// Returns the names of the calls that were made.
    @discardableResult
    private func runOnce(_ scenario: FaultScenario, _ rule: FaultRule?) async throws -> [String] {
        try scratch.empty()
        try scenario.prepare(scratch)
        let before = openDescriptors()
        plan.set(rule.map { [$0] } ?? [])
        plan.record(under: path)
        var failure: IOError?
        do { try await scenario.body(scratch, runtime) } catch { failure = try #require(error as? IOError) }
        let hasFired = plan.firedCount > 0
        let calls = plan.endRecording().map { String(describing: $0.name) }
        plan.set([])
        if let rule { count.note(rule, hasFired) }
        let fault = rule?.description ?? "without a fault"
        let what = Comment(rawValue: "\(scenario.name), \(fault): \(failure.map { "\($0)" } ?? "success")")
        if let failure { judge(failure, scenario, hasFired ? rule : nil, what) }
        do { try scenario.verify(scratch, failure) } catch { Issue.record("\(error): \(what)") }
        let isClean = becomes { openDescriptors() == before && runtime.inFlightCount == 0 }
        #expect(isClean, "\(openDescriptors().subtracting(before)) left: \(what)")
        #expect(runtime.bufferBytesInUse == 0, what)
        return calls
    }

    private func judge(_ failure: IOError, _ scenario: FaultScenario, _ rule: FaultRule?, _ what: Comment) {
        guard let rule else {
            Issue.record("an error without a fault: \(what)")
            return
        }
        #expect(!failure.operation.isEmpty, what)
        if scenario.namesPath { #expect(failure.path != nil, what) }
        if case .fail(let errno) = rule.action { #expect(failure.errno?.rawValue == errno, what) }
        if case .short = rule.action { Issue.record("a short transfer is no error: \(what)") }
    }
}

/// Whether the condition holds soon: releases come after the result.
func becomes(_ condition: () -> Bool) -> Bool {
    let start = ContinuousClock.now
    while !condition() {
        guard start.duration(to: .now) < .seconds(5) else { return false }
        sched_yield()
    }
    return true
}

/// How many faults the runs of a scenario met.
private final class FaultCount {
    private(set) var fired = 0
    private(set) var missed: [String] = []

    func note(_ rule: FaultRule, _ hasFired: Bool) {
        if hasFired { fired += 1 } else { missed.append(rule.description) }
    }
}

enum PossibleFaults {
    /// Calls whose failure is no fault of the kernel or of a device: they cannot fail there, or only for a mistake.
    static func isLeftOut(_ call: String) -> Bool {
        [
            "futex", "futex_waitv", "madvise", "prctl", "prlimit64", "process_vm_readv", "ppoll", "kcmp", "clone",
            "io_uring_enter", "io_uring_register", "epoll_ctl", "epoll_pwait", "epoll_pwait2", "timerfd_settime",
            "io_getevents",
        ].contains(call)
    }

    /// What each call can meet.
    static func actions(for call: String) -> [FaultRule.Action] {
        switch call {
        case "openat2", "openat": fail(EIO, EMFILE, EACCES, ENOMEM, EINTR)
        case "write", "writev", "pwrite64", "pwritev", "pwritev2": fail(EIO, ENOSPC, EINTR) + [.short(1)]
        case "read", "readv", "pread64", "preadv", "preadv2": fail(EIO, EINTR) + [.short(1)]
        case "copy_file_range": fail(EIO, ENOSPC, EINTR, EOPNOTSUPP, EXDEV) + [.short(1)]
        case "sendto", "recvfrom": fail(ECONNRESET, ENOMEM, EINTR) + [.short(1)]
        case "splice": fail(EIO, EINTR, ENOMEM) + [.short(1)]
        case "fallocate", "fsetxattr", "setxattr", "lsetxattr": fail(EIO, ENOSPC, EOPNOTSUPP, EINTR)
        case "renameat2", "linkat", "mkdirat", "symlinkat", "mknodat": fail(EIO, ENOSPC, EACCES)
        case "fsync", "fdatasync", "sync_file_range": fail(EIO, ENOSPC, EINTR)
        case "close": fail(EIO, EINTR)
        case "ioctl": fail(EIO, EOPNOTSUPP, ENOSPC)
        case "socket", "socketpair", "pipe2", "inotify_init1", "pidfd_open": fail(EMFILE, ENOMEM)
        case "accept4": fail(EMFILE, ECONNABORTED, EINTR, ENOMEM)
        case "connect": fail(ECONNREFUSED, ENETUNREACH, ENOMEM)
        case "statx", "readlinkat", "getdents64", "unlinkat", "fchmod", "fchown", "utimensat":
            fail(EIO, EACCES, ENOMEM)
        default: fail(EIO, ENOMEM)
        }
    }

    private static func fail(_ errnos: Int32...) -> [FaultRule.Action] { errnos.map { .fail($0) } }
}

extension FaultRule {
    var description: String {
        let call = name.map { String(decoding: $0, as: UTF8.self) } ?? "call"
        return switch action {
        case .fail(let errno): "\(call) \(ordinal ?? 0) fails with \(Errno(rawValue: errno))"
        case .short(let count): "\(call) \(ordinal ?? 0) is short, \(count)"
        case .slow: "\(call) \(ordinal ?? 0) is slow"
        case .hang: "\(call) \(ordinal ?? 0) hangs"
        }
    }
}

extension Scratch {
    /// Expects a file to have this content.
    func expect(_ name: String, _ content: [UInt8]) throws {
        let found = try self.content(name)
        #expect(found == content, "\(name) has \(found.count) bytes of \(content.count), or others")
    }

    /// Removes everything in the folder.
    func empty(_ folder: String? = nil) throws {
        let folder = folder ?? self.folder
        let entries = try #require(opendir(folder))
        defer { closedir(entries) }
        while let entry = readdir(entries) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard name != ".", name != ".." else { continue }
            let path = "\(folder)/\(name)"
            if unlink(path) == 0 { continue }
            chmod(path, 0o755)
            try empty(path)
            try #require(rmdir(path) == 0, "\(path): errno \(errno)")
        }
    }
}
