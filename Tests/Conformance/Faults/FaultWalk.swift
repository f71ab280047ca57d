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
    /// The kinds of descriptors without a path that it uses, such as `socket`. Calls on them fail as well as those on
    /// paths below its folder.
    var uses: [String] = []
    /// What each error names besides the operation.
    var errorsName = Subject.path
    /// Errnos that the scenario cannot meet, or for which something else is promised, which other tests show.
    var without: [Int32] = []
    /// The same for single calls.
    var withoutOf: [String: [Int32]] = [:]
    /// Whether transfers may be cut short: records cannot.
    var takesShort = true

    enum Subject: Sendable { case path, address, pathOrAddress, nothing }

    func meets(_ action: FaultRule.Action, of call: String) -> Bool {
        switch action {
        case .fail(let errno): !without.contains(errno) && withoutOf[call]?.contains(errno) != true
        case .short: takesShort
        case .half, .flip, .slow, .hang: true
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
    let scenario: FaultScenario
    private let count = FaultCount()

    /// Runs each scenario over this engine, with attempts on the calling thread or without.
    static func walk(_ scenarios: [FaultScenario], _ engine: String, inlineAttempts: Bool = true) async throws {
        try await each(scenarios, engine, inlineAttempts: inlineAttempts) { try await $0.run() }
    }

    /// Runs each scenario over this engine while half of the calls of a kind, by which the engine submits and waits,
    /// fail with a transient error: often several in a row.
    static func walkTransients(_ scenarios: [FaultScenario], _ engine: String) async throws {
        var fired = 0
        try await each(scenarios, engine) { walk in
            for (call, errnos) in PossibleFaults.transients {
                for errno in errnos {
                    try await walk.runOnce(FaultRule(name: Array(call.utf8), .everywhere, .oneIn(2), .fail(errno)))
                }
            }
            fired += walk.count.fired
        }
        // Some scenarios wait for nothing.
        #expect(fired * 2 >= scenarios.count, "\(fired) runs met an error")
        if getenv("AIO_TEST_STORY") != nil { writeLine("\(engine): \(fired) runs met transient errors") }
    }

    private static func each(
        _ scenarios: [FaultScenario], _ engine: String, inlineAttempts: Bool = true,
        _ body: (FaultWalk) async throws -> Void
    ) async throws {
        let kind = try #require(EngineKind(engine))
        let plan = FaultPlan()
        plan.install()
        let threadsBefore = threads()
        try await withScratch(in: parent) { scratch in
            defer { try? scratch.empty() }
            // The log says why a listener waits. Nothing else may be logged: a dropped handle would be.
            let log: @Sendable (String) -> Void = { line in
                if !line.contains("new connections wait") { Issue.record("logged: \(line)") }
            }
            try await withRuntime(
                kind,
                {
                    $0.log = log
                    $0.inlineAttempts = inlineAttempts
                }
            ) { runtime in
                for scenario in scenarios {
                    try await body(FaultWalk(scratch: scratch, runtime: runtime, plan: plan, scenario: scenario))
                }
            }
        }
        try await eventually { threads().subtracting(threadsBefore).allSatisfy { !threadName($0).hasPrefix("aio-") } }
    }

    /// In memory, unless AIO_TEST_DIRECTORY says otherwise: the failures are planned, so a disk would only take time.
    private static let parent =
        getenv("AIO_TEST_DIRECTORY") == nil && access("/dev/shm", W_OK) == 0 ? "/dev/shm" : testDirectory

    /// A call of the scenario: its name, what it is on, and its number among those of the name there.
    private struct Call {
        let name: String
        let place: FaultRule.Place
        let ordinal: Int
    }

    private func run() async throws {
        let start = ContinuousClock.now
        // Twice: the first run may start workers, and fill caches.
        for _ in 0..<2 { try await runOnce(nil) }
        let calls = calls(of: try await runOnce(nil))
        #expect(!calls.isEmpty, "\(scenario.name) makes no call")
        for call in calls {
            for action in PossibleFaults.actions(for: call.name) where scenario.meets(action, of: call.name) {
                try await runOnce(
                    FaultRule(name: Array(call.name.utf8), call.place, .nth(call.ordinal), action))
            }
        }
        // Nothing is broken for those who come later.
        try await runOnce(nil)
        // A run may take another turn than the one that was recorded, but most are alike.
        #expect(
            count.fired > 0 && count.missed.count * 10 <= count.fired,
            "\(scenario.name): \(count.fired) faults, not met: \(count.missed)")
        if getenv("AIO_TEST_STORY") != nil {
            let time = start.duration(to: .now)
            writeLine("\(scenario.name): \(calls.count) calls, \(count.fired) faults, \(time)")
        }
    }

    private func calls(of made: [MadeCall]) -> [Call] {
        let places =
            [FaultRule.Place.under(Array(scratch.folder.utf8))] + scenario.uses.map { .beginning(Array($0.utf8)) }
        var ordinals: [String: Int] = [:]
        var calls: [Call] = []
        for call in made {
            let name = String(describing: call.name)
            guard !PossibleFaults.isLeftOut(name) else { continue }
            // A call on two files is counted in the places of both, and fails once.
            var isNew = true
            for (index, place) in places.enumerated() where place.contains(anyOf: call.files) {
                ordinals["\(index) \(name)", default: 0] += 1
                let ordinal = ordinals["\(index) \(name)"]!
                if isNew { calls.append(Call(name: name, place: place, ordinal: ordinal)) }
                isNew = false
            }
        }
        return calls
    }

    /// Returns the calls that were made.
    @discardableResult
    private func runOnce(_ rule: FaultRule?) async throws -> [MadeCall] {
        try scratch.empty()
        try scenario.prepare(scratch)
        let before = openDescriptors()
        plan.set(rule.map { [$0] } ?? [])
        if rule == nil { plan.record(under: nil) }
        var failure: IOError?
        do { try await scenario.body(scratch, runtime) } catch { failure = try #require(error as? IOError) }
        let hasFired = plan.firedCount > 0
        let calls = rule == nil ? plan.endRecording() : []
        plan.set([])
        if let rule { count.note(rule, hasFired) }
        let fault = rule?.description ?? "without a fault"
        let what = Comment(rawValue: "\(scenario.name), \(fault): \(failure.map { "\($0)" } ?? "success")")
        if let failure { judge(failure, hasFired ? rule : nil, what) }
        do { try scenario.verify(scratch, failure) } catch { Issue.record("\(error): \(what)") }
        let isClean = becomes { runtime.inFlightCount == 0 && openDescriptors() == before }
        #expect(isClean, "\(openDescriptors().subtracting(before)) left: \(what)")
        #expect(becomes { runtime.bufferBytesInUse == 0 }, what)
        return calls
    }

    private func judge(_ failure: IOError, _ rule: FaultRule?, _ what: Comment) {
        guard let rule else {
            Issue.record("an error without a fault: \(what)")
            return
        }
        if case .oneIn = rule.occurrence { Issue.record("a transient error of an engine is seen: \(what)") }
        #expect(!failure.operation.isEmpty, what)
        switch scenario.errorsName {
        case .path: #expect(failure.path != nil, what)
        case .address: #expect(failure.address != nil, what)
        case .pathOrAddress: #expect(failure.path != nil || failure.address != nil, what)
        case .nothing: break
        }
        if case .fail(let errno) = rule.action { #expect(failure.errno?.rawValue == errno, what) }
        if case .short = rule.action { Issue.record("a short transfer is no error: \(what)") }
    }
}

/// Past Swift Testing, which throws away what a child process of an exit test prints.
private func writeLine(_ line: String) {
    let bytes = Array("\(line)\n".utf8)
    _ = Glibc.write(2, bytes, bytes.count)
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

    /// Errors of the calls by which engines submit and wait, after which they make the call again. Those of a futex are
    /// left out: the rule would also be for calls that wake.
    static let transients: [(call: String, errnos: [Int32])] = [
        ("io_uring_enter", [EINTR, EAGAIN, EBUSY]), ("epoll_pwait", [EINTR]), ("epoll_pwait2", [EINTR]),
        ("io_submit", [EAGAIN]), ("io_getevents", [EINTR]),
    ]

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
        var call = name.map { String(decoding: $0, as: UTF8.self) } ?? "call"
        if case .nth(let number) = occurrence { call += " \(number)" }
        if case .oneIn(let count) = occurrence { call += ", one in \(count)," }
        if case .beginning(let kind) = place { call += " of a \(String(decoding: kind, as: UTF8.self))" }
        return switch action {
        case .fail(let errno): "\(call) fails with \(Errno(rawValue: errno))"
        case .short(let count): "\(call) is short, \(count)"
        case .half: "\(call) transfers half"
        case .flip: "\(call) reads a wrong bit"
        case .slow: "\(call) is slow"
        case .hang: "\(call) hangs"
        }
    }
}

extension Scratch {
    /// Expects a file to have this content.
    func expect(_ name: String, _ content: [UInt8]) throws {
        let found = try self.content(name)
        let isExpected = areSame(found, content)
        #expect(isExpected, "\(name) has \(found.count) bytes of \(content.count), or others")
    }

    /// Removes everything in the folder.
    func empty(_ folder: String? = nil) throws {
        let folder = folder ?? self.folder
        for name in try #require(entryNames(in: folder)) {
            let path = "\(folder)/\(name)"
            if unlink(path) == 0 { continue }
            chmod(path, 0o755)
            try empty(path)
            try #require(rmdir(path) == 0, "\(path): errno \(errno)")
        }
    }
}
