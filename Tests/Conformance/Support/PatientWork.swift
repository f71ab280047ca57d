import AIO
import AIOCore
import Glibc

/// Work that only waits until it is asked to end.
final class PatientWork: BlockingWork, @unchecked Sendable {
    // @unchecked: see `BlockingWork`.
    let hasBegun = Flag()

    init() { super.init(deadline: .max) }

    override func run() -> Int {
        hasBegun.set()
        // Nothing wakes this thread, and the thread that asks it to end needs the CPU; so this one runs with SCHED_IDLE
        // (5), when no other wants to.
        var parameters = sched_param()
        sched_setscheduler(0, 5, &parameters)
        while !shouldEnd { sched_yield() }
        sched_setscheduler(0, SCHED_OTHER, &parameters)
        return -Int(ECANCELED)
    }

    /// Performs the work. The caller keeps the object alive until this returns.
    func perform(_ runtime: IORuntime) async throws(IOError) -> Int32 {
        try await runtime.perform(.work(.passUnretained(self)))
    }
}
