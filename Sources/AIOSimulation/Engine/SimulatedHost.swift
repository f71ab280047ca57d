internal import AIO
internal import AIOCore
internal import CKernel

/// A process of a simulated machine: its kernel, its runtimes, and the tasks that run in it. A machine has one, and
/// those that it starts (`startChild`).
final class SimulatedHost {
    let name: String
    let world: World
    let kernel: SimulatedKernel
    unowned let driver: Driver
    let executor: SimulatedExecutor
    /// Who receives the signals of the process.
    let signals = SignalTable(isSimulated: true)
    /// As the parent sees the process; nil for a machine's first.
    var child: SimulatedChild?
    weak var parent: SimulatedHost?
    /// That of a child.
    var body: Task<Void, Never>?
    /// What `IORuntime.shared` is on the host.
    private(set) var runtime: IORuntime!
    /// The loops of all runtimes that have not ended.
    private(set) var loops: [IOLoop] = []
    /// The work of the loops, in their order, and of the queues, which stays until the host ends.
    private var loopWorks: [SimulatedWork] = []
    private var queueWorks: [SimulatedWork] = []
    /// Whether something has happened since the last turn, so that a turn may find something to do.
    var needsTurn = true
    /// The loops that are inside of a turn: a task that runs there and waits in a system call does not turn them again.
    private var turning: [IOLoop] = []
    /// The calls in which threads of the process wait, the innermost last.
    private var waitingCalls: [String] = []

    /// On the simulation's thread, to which the loops then belong.
    init(
        _ kernel: SimulatedKernel, _ driver: Driver, _ executor: SimulatedExecutor,
        _ configuration: IORuntime.Configuration
    ) throws {
        name = kernel.host
        self.driver = driver
        self.executor = executor
        world = driver.world
        self.kernel = kernel
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
            if CurrentHost.value?.kernel.isOff != true { log(line) }
        }
        let work = try SimulatedWork(self, settings, waits: false)
        let loop = IOLoop(byHand: try EngineQueue(byHand: work.work, settings), settings, configuration)
        loopWorks.append(work)
        loops.append(loop)
        return loop
    }

    /// The work of an `IOQueue`.
    func makeWork(_ settings: EngineConfiguration) throws(EngineFailure) -> WorkByHand {
        let work = try SimulatedWork(self, settings, waits: true)
        queueWorks.append(work)
        return work.work
    }

    // MARK: Turns

    var canRun: Bool { needsTurn || executor.hasJobs }

    /// When the host has to be turned for its deadlines.
    var nextDeadline: Nanoseconds {
        driver.with(self) {
            loops.reduce(.never) { first, loop in isTurning(loop) ? first : min(first, loop.nextDeadline) }
        }
    }

    /// Runs one job of a task, or turns the loops. Returns whether that did anything.
    func step() -> Bool {
        driver.with(self) {
            if executor.hasJobs, !needsTurn || world.random.oneIn(2) {
                executor.runOne()
                needsTurn = true
            } else {
                turn()
            }
            return needsTurn
        }
    }

    private func turn() {
        needsTurn = false
        retryBlocked()
        for loop in loops where !isTurning(loop) {
            let before = loop.progress
            turning.append(loop)
            let goesOn = loop.turn()
            turning.removeAll { $0 === loop }
            let isProgress = !goesOn || loop.progress != before || loop.hasWork
            guard isProgress, let index = loops.firstIndex(where: { $0 === loop }) else { continue }
            // What was delivered, or staged again, may lead to more.
            needsTurn = true
            guard !goesOn else { continue }
            loops.remove(at: index)
            loopWorks.remove(at: index)
        }
    }

    private func isTurning(_ loop: IOLoop) -> Bool { turning.contains { $0 === loop } }

    private func retryBlocked() { for work in loopWorks + queueWorks { work.retryBlocked() } }

    // MARK: Waiting

    /// Whether a worker runs, whose calls must not wait: it has the simulation's thread.
    private(set) var isWorking = false
    /// The work of several calls that the worker carries out; nil for an operation of one call.
    private var carriedOut: BlockingWork?

    /// Runs `body` as a worker, or within one as a thread that may wait.
    func working<R>(_ isWorking: Bool, on work: BlockingWork? = nil, _ body: () -> R) -> R {
        let before = (self.isWorking, carriedOut)
        (self.isWorking, carriedOut) = (isWorking, work)
        defer { (self.isWorking, carriedOut) = before }
        return body()
    }

    /// A system call of the library. One that would block a worker says so (`KernelStandIn.wouldBlock`).
    func answer(_ call: SystemCall) -> Int {
        guard isWorking else { return self.call(call) }
        var result = kernel.answer(call)
        if kernel.isHanging(result), let carriedOut { result = hang(in: call, of: carriedOut) }
        world.spend(driver.latency.time(of: call.number, result))
        return result
    }

    /// A call that hangs in the middle of work, which cannot be made again from its beginning: the work waits there
    /// until it should end.
    private func hang(in call: SystemCall, of work: BlockingWork) -> Int {
        waitingCalls.append("\(CallDescriptions.line(call, kernel)), which hangs")
        defer { waitingCalls.removeLast() }
        let wait = BlockedCall(kernel)
        defer { wait.end() }
        while !wait.isOver {
            if work.shouldEnd { return -Int(ECANCELED) }
            guard goesOnHanging() else { return -Int(EIO) }
        }
        kernel.resumed = wait.hung
        return kernel.answer(call)
    }

    /// Lets something happen while a thread hangs. False if that ends, because the simulation does.
    private func goesOnHanging() -> Bool {
        guard !kernel.isOff, !driver.isOver else { return false }
        if driver.wait(until: .never) == nil { driver.endStuckWait() }
        return true
    }

    /// A system call of a thread that may wait. While it blocks, the world goes on; EDEADLK if nothing can happen that
    /// would end it.
    func call(_ call: SystemCall) -> Int {
        if call.number == LibraryCall.yield {
            guard driver.wait(until: .never) == nil else { return 0 }
            driver.endStuckWait()
            return -Int(EDEADLK)
        }
        if !CallDescriptions.isOfEngine(call.number) {
            driver.taskNotes.noteCall(call.number, kernel.descriptors[call.a])
        }
        let result = kernel.answer(call)
        // Within a task that has not returned yet: the loops have not looked since.
        if !CallDescriptions.isOfEngine(call.number) { needsTurn = true }
        return result == SimulatedKernel.wouldBlock ? wait(in: call) : result
    }

    private func wait(in call: SystemCall) -> Int {
        waitingCalls.append(CallDescriptions.line(call, kernel))
        defer { waitingCalls.removeLast() }
        let deadline = kernel.timeout(of: call).map { world.now &+ $0 } ?? .never
        while true {
            let wait = BlockedCall(kernel)
            while !wait.isOver, !kernel.isOff {
                guard wait.hung == nil else {
                    guard goesOnHanging() else { return -Int(EIO) }
                    continue
                }
                guard let goesOn = driver.wait(until: deadline) else {
                    wait.abandon()
                    return -Int(EDEADLK)
                }
                if !goesOn { break }
            }
            wait.end()
            if world.now >= deadline { return 0 }
            kernel.resumed = wait.hung
            let result = kernel.answer(call)
            needsTurn = true
            guard result == SimulatedKernel.wouldBlock else { return result }
        }
    }

    /// What the process waits for, for the message about a deadlock.
    var waitingOperations: String {
        let blocked = (loopWorks + queueWorks).flatMap(\.waiting)
        let calls = waitingCalls + blocked
        let suffix = calls.isEmpty ? "" : ", and waits in \(calls.joined(separator: ", "))"
        let count = loops.reduce(0) { $0 + $1.inFlightCount }
        return "\(name) has \(count) operations in flight\(suffix)"
    }
}
