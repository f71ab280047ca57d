internal import AIOCore

/// Where the tasks of a simulated host run: on the simulation's thread, in an order that the seed chooses.
final class SimulatedExecutor: TaskExecutor, @unchecked Sendable {
    // @unchecked: the simulation's thread alone uses `jobs`. A job from another thread is refused (`enqueue`).

    private let world: World
    private unowned let host: SimulatedHost
    private var jobs: [(job: UnownedJob, isMain: Bool)] = []

    init(_ world: World, _ host: SimulatedHost) {
        self.world = world
        self.host = host
    }

    var hasJobs: Bool { !jobs.isEmpty }

    func enqueue(_ job: consuming ExecutorJob) { add(UnownedJob(job)) }

    /// `isMain`: the job is one of the main actor's, for which this executor stands in.
    func add(_ job: UnownedJob, isMain: Bool = false) {
        // A task of the simulation was resumed by a thread that is not the simulation's.
        guard host.driver.isCurrent else { return host.driver.addForeign(job, host) }
        jobs.append((job, isMain))
    }

    func add(_ job: UnownedJob, after delay: Nanoseconds) {
        world.schedule(after: delay) { [weak self] in self?.jobs.append((job, false)) }
    }

    /// Runs one of the jobs that are ready.
    func runOne() {
        let (job, isMain) = jobs.remove(at: world.random.below(jobs.count))
        if isMain {
            job.runSynchronously(on: MainActor.sharedUnownedExecutor)
        } else {
            job.runSynchronously(on: asUnownedTaskExecutor())
        }
    }
}
