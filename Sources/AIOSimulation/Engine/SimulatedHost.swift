internal import AIO
internal import AIOCore
internal import CKernel

/// A simulated machine with one process: its kernel, its runtimes, and the tasks that run on it.
final class SimulatedHost {
    let name: String
    let world: World
    let kernel: SimulatedKernel
    unowned let driver: Driver
    let executor: SimulatedExecutor
    /// What `IORuntime.shared` is on the host.
    private(set) var runtime: IORuntime!
    /// The loops of all runtimes that have not ended.
    private(set) var loops: [IOLoop] = []
    /// The work of the loops, in their order, and of the queues, which stays until the host ends.
    private var loopWorks: [SimulatedWork] = []
    private var queueWorks: [SimulatedWork] = []
    /// Whether something has happened since the last turn, so that a turn may find something to do.
    var needsTurn = true
    /// Whether the process is inside of a step: a wait in an `IOQueue` lets other hosts run, but not this one.
    private(set) var isBusy = false

    /// On the simulation's thread, to which the loops then belong.
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
        runtime = try driver.with(self) { try IORuntime(configuration) }
    }

    // MARK: Runtimes and queues of the process

    func makeLoop(
        _ settings: EngineConfiguration, _ configuration: IORuntime.Configuration
    ) throws(EngineFailure) -> IOLoop {
        var settings = settings
        settings.hasDedicatedThread = true
        var configuration = configuration
        // After a crash the tasks unwind, and whatever they leave behind is no problem of the program.
        configuration.log = { [log = configuration.log] line in
            if CurrentHost.value?.world.isOff != true { log(line) }
        }
        let work = SimulatedWork(self, settings, waits: false)
        let loop = IOLoop(byHand: try EngineQueue(byHand: work.work, settings), settings, configuration)
        loopWorks.append(work)
        loops.append(loop)
        return loop
    }

    /// The work of an `IOQueue`.
    func makeWork(_ settings: EngineConfiguration) -> WorkByHand {
        let work = SimulatedWork(self, settings, waits: true)
        queueWorks.append(work)
        return work.work
    }

    // MARK: Turns

    var canRun: Bool { (needsTurn || executor.hasJobs) && !isBusy }

    /// When the host has to be turned for its deadlines.
    var nextDeadline: Nanoseconds {
        driver.with(self) { loops.reduce(.never) { min($0, $1.nextDeadline) } }
    }

    /// Runs one job of a task, or turns the loops.
    func step() {
        isBusy = true
        defer { isBusy = false }
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
        for loop in loops {
            let before = loop.progress
            let goesOn = loop.turn()
            if !goesOn, let index = loops.firstIndex(where: { $0 === loop }) {
                loops.remove(at: index)
                loopWorks.remove(at: index)
            }
            // What was delivered, or staged again, may lead to more.
            if !goesOn || loop.progress != before { needsTurn = true }
        }
    }

    /// A system call that a thread of the process makes past the library. While it blocks, the world goes on; EDEADLK
    /// if nothing can happen that would end it.
    func call(_ call: SystemCall) -> Int {
        while true {
            let result = kernel.answer(call)
            guard result == SimulatedKernel.wouldBlock else { return result }
            if driver.wait(on: self, until: .never) == nil { return -Int(EDEADLK) }
        }
    }

    func retryBlocked() { for work in loopWorks + queueWorks { work.retryBlocked() } }
}
