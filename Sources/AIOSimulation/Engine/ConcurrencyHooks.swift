internal import CSimulation

/// Jobs that belong to no executor or to the main actor: those of unstructured tasks (`Task { }`), of actors and of
/// `Task.sleep`. On a simulation's thread they run on the current host; on any other as ever.
///
/// Where the runtime has no hooks, unstructured tasks leave the simulation, which reports their first operation.
enum ConcurrencyHooks {
    static func install() {
        _ = ch_install { job, delay, isMain in
            guard let job else { return false }
            // A job is a pointer to the runtime's object, in C as in Swift.
            let unowned = unsafeBitCast(job, to: UnownedJob.self)
            guard let host = CurrentHost.value else {
                guard let driver = GlobalTasks.driver(of: taskID(of: unowned)) else { return false }
                driver.noteForeignJob(unowned)
                return true
            }
            host.driver.noteGlobalTask(taskID(of: unowned))
            if delay > 0 {
                host.executor.add(unowned, after: delay)
            } else {
                host.executor.add(unowned, isMain: isMain)
            }
            return true
        }
    }
}
