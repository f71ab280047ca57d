import AIO
import AIOCore
import Glibc

/// Work that has nothing to do but to wait until it is asked to end.
final class PatientWork: BlockingWork, @unchecked Sendable {
    // @unchecked: as BlockingWork says.
    let hasBegun = Flag()

    init() { super.init(deadline: .max) }

    override func run() -> Int {
        hasBegun.set()
        // There is nothing to be woken by; and whoever shall ask it to end needs the processor: with SCHED_IDLE (5) the
        // thread runs when nobody else wants to.
        var parameters = sched_param()
        sched_setscheduler(0, 5, &parameters)
        while !shouldEnd { sched_yield() }
        sched_setscheduler(0, SCHED_OTHER, &parameters)
        return -Int(ECANCELED)
    }

    /// Performs it; whoever calls keeps it until this returns.
    func perform(_ runtime: IORuntime) async throws(IOError) -> Int32 {
        try await runtime.perform(.work(.passUnretained(self)))
    }
}
