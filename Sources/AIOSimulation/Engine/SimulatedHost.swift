internal import AIO
internal import AIOCore

/// A simulated machine with one process: its kernel, its runtime, and the tasks that run on it.
final class SimulatedHost {
    let name: String
    let world: World
    let kernel: SimulatedKernel
    unowned let driver: Driver
    let executor: SimulatedExecutor
    private(set) var runtime: IORuntime!
    private(set) var loop: IOLoop!
    private var work: WorkByHand!
    /// Work that would have blocked its worker, and is tried again after each change.
    private var blocked: [Token] = []
    /// Whether something has happened since the last turn, so that a turn may find something to do.
    var needsTurn = true
    /// Whether the runtime has been shut down, and its engine is gone.
    private(set) var isEnded = false

    /// On the simulation's thread, to which the loop then belongs.
    init(
        _ name: String, _ driver: Driver, _ executor: SimulatedExecutor, _ configuration: IORuntime.Configuration,
        _ files: SimulatedFileSystem?
    ) throws {
        self.name = name
        self.driver = driver
        self.executor = executor
        world = driver.world
        kernel = SimulatedKernel(host: name, in: world, fileSystem: files)
        executor.host = self
        try start(configuration)
    }

    private func start(_ configuration: IORuntime.Configuration) throws {
        var configuration = configuration
        // After a crash the tasks unwind, and whatever they leave behind is no problem of the program.
        configuration.log = { [log = configuration.log] line in
            if CurrentHost.value?.world.isCrashed != true { log(line) }
        }
        var settings = EngineConfiguration(
            queueDepth: configuration.queueDepth, workerLimit: configuration.workerLimit, hasDedicatedThread: true)
        settings.waitingLimit = configuration.waitingLimit
        let work = WorkByHand(settings) { [unowned self] token in schedule(token) }
        self.work = work
        loop = try driver.with(self) {
            IOLoop(byHand: try EngineQueue(byHand: work, settings), settings, configuration)
        }
        runtime = IORuntime(configuration, over: loop)
    }

    // MARK: Work

    /// A worker takes up the operation after a while, so that operations end in any order.
    private func schedule(_ token: Token) {
        let delay = driver.latency.delay(&world.random)
        world.schedule(after: delay) { [weak self] in self?.execute(token) }
    }

    private func execute(_ token: Token) {
        driver.with(self) {
            if work.execute(token) == .blocked { blocked.append(token) }
        }
        needsTurn = true
    }

    private func retryBlocked() {
        guard !blocked.isEmpty else { return }
        let tokens = blocked
        blocked = []
        for token in tokens { execute(token) }
    }

    // MARK: Turns

    var canRun: Bool { needsTurn || executor.hasJobs }

    /// When the host has to be turned for its deadlines.
    var nextDeadline: Nanoseconds { driver.with(self) { loop.nextDeadline } }

    /// Runs one job of a task, or turns the loop.
    func step() {
        driver.with(self) {
            if executor.hasJobs, !needsTurn || world.random.oneIn(2) {
                executor.runOne()
                needsTurn = true
            } else {
                turn()
            }
        }
    }

    private func turn() {
        needsTurn = false
        retryBlocked()
        let before = loop.progress
        isEnded = !loop.turn()
        // What was delivered, or staged again, may lead to more.
        if loop.progress != before { needsTurn = true }
    }
}
