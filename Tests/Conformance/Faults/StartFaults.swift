import AIO
import AIOCore
import FaultInjection
import Glibc
import Testing
import UnitSupport

/// The start of a runtime or a queue: with each of its calls failing, it starts all the same, or throws. Either way
/// nothing is left once it is shut down.
struct StartFaults {
    private let plan: FaultPlan
    private let start: () async throws -> Void

    /// Only for exit tests.
    static func walk(_ engine: String) async throws {
        let kind = try #require(EngineKind(engine))
        let plan = FaultPlan()
        plan.install()
        try await StartFaults(plan: plan) { try await startRuntime(kind) }.run("a runtime")
        try await StartFaults(plan: plan) { try startQueue(kind) }.run("a queue")
    }

    private static func startRuntime(_ kind: EngineKind) async throws {
        var configuration = IORuntime.Configuration()
        configuration.engine = .forced(kind)
        configuration.queueDepth = 16
        configuration.loops = 2
        configuration.log = { Issue.record("logged: \($0)") }
        let runtime = try IORuntime(configuration)
        // It works.
        #expect(try await runtime.perform(.nop) == 0)
        await runtime.shutdown()
    }

    private static func startQueue(_ kind: EngineKind) throws {
        var configuration = IOQueue.Configuration()
        configuration.engine = .forced(kind)
        configuration.queueDepth = 16
        let queue = try IOQueue(configuration)
        #expect(try queue.blockingPerform(.nop) == 0)
    }

    private func run(_ what: String) async throws {
        // The first start may open what stays open for the process.
        try await start()
        plan.record(under: nil)
        try await start()
        let calls = plan.endRecording().map { String(describing: $0.name) }.filter { !Self.isOfRunning($0) }
        #expect(!calls.isEmpty, "\(what) starts without a call")
        var ordinals: [String: Int] = [:]
        for call in calls {
            ordinals[call, default: 0] += 1
            for errno in Self.errnos(of: call) {
                try await runOnce(what, FaultRule(call, ordinal: ordinals[call], .fail(errno)))
            }
        }
        try await start()
    }

    private func runOnce(_ what: String, _ rule: FaultRule) async throws {
        // A loop closes what it has after its shutdown has returned.
        #expect(becomes { libraryThreads().isEmpty })
        let before = allDescriptors()
        plan.set([rule])
        var failure: IOError?
        do { try await start() } catch { failure = try #require(error as? IOError) }
        plan.set([])
        let result = "\(what), \(rule.description): \(failure.map { "\($0)" } ?? "success")"
        let isClean = becomes { allDescriptors() == before && libraryThreads().isEmpty }
        #expect(isClean, "left: \(allDescriptors().subtracting(before)), \(libraryThreads()): \(result)")
        #expect(failure?.operation.isEmpty != true, "\(result)")
    }

    /// All of them: `openDescriptors` leaves out what an engine has.
    private func allDescriptors() -> Set<Int32> {
        Set((0..<1024).filter { fcntl($0, F_GETFD) >= 0 })
    }

    private func libraryThreads() -> Set<Int32> { threads().filter { threadName($0).hasPrefix("aio-") } }

    /// Calls of a loop that runs, which are not the start's, and which only fail for a mistake.
    private static func isOfRunning(_ call: String) -> Bool {
        [
            "futex", "futex_waitv", "epoll_pwait", "epoll_pwait2", "io_uring_enter", "io_getevents", "ppoll", "read",
            "write", "timerfd_settime", "close", "prctl",
        ].contains(call)
    }

    private static func errnos(of call: String) -> [Int32] {
        switch call {
        case "io_uring_setup": [ENOMEM, EMFILE, EPERM, ENOSYS]
        case "io_uring_register": [ENOMEM, EINVAL]
        case "io_setup": [EAGAIN, ENOMEM, ENOSYS]
        case "clone": [EAGAIN]
        case "mmap", "mremap", "madvise": [ENOMEM]
        case "epoll_ctl": [ENOMEM, ENOSPC]
        case "eventfd2", "epoll_create1", "timerfd_create", "memfd_create": [EMFILE, ENOMEM]
        default: [EIO, ENOMEM]
        }
    }
}
