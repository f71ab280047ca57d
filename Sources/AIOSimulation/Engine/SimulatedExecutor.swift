internal import AIOCore

/// Where the tasks of a simulated host run: on the simulation's thread, in an order that the seed chooses.
final class SimulatedExecutor: TaskExecutor, @unchecked Sendable {
    // @unchecked: `jobs` is used by the thread that creates the simulation until the simulation's thread begins, and by
    // that one alone afterwards: a job from elsewhere is refused.

    private let world: World
    /// The host that runs the jobs; nil until the simulation's thread begins.
    weak var host: SimulatedHost?
    private var jobs: [(job: UnownedJob, isMain: Bool)] = []

    init(_ world: World) { self.world = world }

    var hasJobs: Bool { !jobs.isEmpty }

    func enqueue(_ job: consuming ExecutorJob) { add(UnownedJob(job)) }

    /// `isMain`: the job is one of the main actor's, for which this executor stands in.
    func add(_ job: UnownedJob, isMain: Bool = false) {
        // A task of the simulation was resumed by a thread that is not the simulation's.
        if let host, !host.driver.isCurrent { return host.driver.noteForeignJob(job) }
        jobs.append((job, isMain))
    }

    func add(_ job: UnownedJob, after delay: Nanoseconds) {
        world.schedule(after: delay) { [weak self] in self?.jobs.append((job, false)) }
    }

    /// Runs one of the jobs that are ready.
    func runOne() {
        let (job, isMain) = jobs.remove(at: world.random.below(jobs.count))
        let driver = host?.driver
        let before = driver?.taskNotes.begin(taskID(of: job), world)
        defer { driver?.taskNotes.end(before ?? nil) }
        if isMain {
            job.runSynchronously(on: MainActor.sharedUnownedExecutor)
        } else {
            job.runSynchronously(on: asUnownedTaskExecutor())
        }
    }
}
