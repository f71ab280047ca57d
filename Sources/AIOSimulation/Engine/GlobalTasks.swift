internal import Synchronization

/// The tasks of running simulations that belong to no executor. Another thread that resumes one hands it to Swift's
/// global executor, where it would run outside of its simulation.
enum GlobalTasks {
    private static let drivers = Mutex<[UInt64: Driver]>([:])
    /// Whether there may be any: without, other threads take no lock. Relaxed: a task is added on the simulation's
    /// thread, and whoever resumes it has learnt of it by something that orders more.
    private static let count = Atomic<Int>(0)

    static func add(_ task: UInt64, _ driver: Driver) {
        drivers.withLock { drivers in
            if drivers.updateValue(driver, forKey: task) == nil { count.add(1, ordering: .relaxed) }
        }
    }

    static func remove(_ tasks: some Sequence<UInt64>) {
        drivers.withLock { drivers in
            for task in tasks where drivers.removeValue(forKey: task) != nil { count.subtract(1, ordering: .relaxed) }
        }
    }

    /// On a thread that runs no simulation: the simulation that the task belongs to; nil if it belongs to none.
    static func driver(of task: UInt64) -> Driver? {
        guard count.load(ordering: .relaxed) > 0 else { return nil }
        return drivers.withLock { $0[task] }
    }
}
