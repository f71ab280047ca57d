internal import AIO
internal import AIOCore
internal import Synchronization

/// Drives a simulation on one thread: chooses whose turn it is, and lets time pass when nobody has anything to do.
final class Driver: @unchecked Sendable {
    // @unchecked: the simulation's thread alone uses it, but for the atomic properties.

    let world: World
    let latency: Latency
    private(set) var hosts: [SimulatedHost] = []
    /// The simulation's thread; 0 until it begins.
    private let thread = Atomic<UInt>(0)
    /// The ID of a task of the simulation that another thread resumed, which cannot be repeated; 0 for none.
    private let foreignTask = Atomic<UInt64>(0)
    /// The tasks of the run in `GlobalTasks`.
    private var globalTasks: Set<UInt64> = []
    /// What the tasks did last.
    var taskNotes = TaskNotes()
    /// Whether the task that waits for the simulation was cancelled.
    private let isCancelRequested = Atomic<Bool>(false)
    private(set) var stepCount: UInt64 = 0
    private var stepLimit = UInt64.max
    /// The number of steps since time last passed.
    private var stepsSinceEvent = 0
    private var isEnding = false
    /// What waited when the power went off because a thread waited for what could not happen; nil if it did not.
    private(set) var stuckOperations: String?
    /// Whether the body has returned; nil outside of a run.
    private var isDone: (() -> Bool)?
    /// Whether a process has started another.
    var hasChildren = false
    /// Whether whole programs run (`Simulation.begin`).
    var hasPrograms = false

    init(_ world: World, _ latency: Latency) {
        self.world = world
        self.latency = latency
    }

    /// Called on the simulation's thread before everything else.
    func begin() { thread.store(Kernel.currentThread(), ordering: .relaxed) }

    /// Relaxed: a thread finds its own ID only if it stored it itself.
    var isCurrent: Bool { thread.load(ordering: .relaxed) == Kernel.currentThread() }

    func addHost(
        _ name: String, _ executor: SimulatedExecutor, _ configuration: IORuntime.Configuration,
        _ files: SimulatedFileSystem? = nil
    ) throws -> SimulatedHost {
        try add(SimulatedKernel(host: name, in: world, fileSystem: files), executor, configuration)
    }

    func add(
        _ kernel: SimulatedKernel, _ executor: SimulatedExecutor, _ configuration: IORuntime.Configuration
    ) throws -> SimulatedHost {
        let host = try SimulatedHost(kernel, self, executor, configuration)
        hosts.append(host)
        return host
    }

    /// From another thread: the job is dropped, its task never goes on, and the simulation ends with an error.
    /// Relaxed, as below: nothing but the ID is handed over.
    func noteForeignJob(_ job: UnownedJob) {
        _ = foreignTask.compareExchange(expected: 0, desired: max(1, taskID(of: job)), ordering: .relaxed)
    }

    /// A task that belongs to no executor runs on a host.
    func noteGlobalTask(_ task: UInt64) {
        // Jobs of actors have no ID.
        guard task != 0, globalTasks.insert(task).inserted else { return }
        GlobalTasks.add(task, self)
    }

    /// At the end of a run: what another thread resumes now goes its own way.
    func forgetGlobalTasks() {
        GlobalTasks.remove(globalTasks)
        globalTasks = []
    }

    /// The task that left the simulation, and what it did last.
    var foreignTaskText: String { taskNotes.text(of: foreignTask.load(ordering: .relaxed)) }

    /// From any thread: the body is to be cancelled.
    func requestCancel() { isCancelRequested.store(true, ordering: .relaxed) }

    /// Runs `body` as a host: its system calls and its clock are the host's.
    func with<R, E: Error>(_ host: SimulatedHost, _ body: () throws(E) -> R) throws(E) -> R {
        let before = CurrentHost.value
        CurrentHost.set(host)
        defer { CurrentHost.set(before) }
        return try body()
    }

    /// Why a simulation cannot go on.
    enum End: Equatable {
        /// `isDone` said so.
        case done
        /// Nothing is left that could happen: every task waits for another.
        case deadlock
        /// A thread outside of the simulation resumed one of its tasks.
        case foreignThread
        case stepLimit
        /// The power went off.
        case crashed
        /// A signal ended a process that is no child.
        case killed
    }

    /// Why the power is off; nil while it is on.
    var endOfPower: End? {
        guard world.isOff else { return nil }
        return killText != nil ? .killed : stuckOperations != nil ? .deadlock : .crashed
    }

    /// The signal that ended a process that is no child, and the process; nil if none did.
    private(set) var killText: String?

    /// A machine's first process ends by a signal, and with it the simulation.
    func kill(_ host: SimulatedHost, _ signal: Signal) {
        guard !world.isOff else { return }
        killText = "\(signal) to \(host.name)"
        world.trace.note(world.now, host.name, "killed by \(signal)")
        world.turnOff()
        for host in hosts { host.needsTurn = true }
    }

    /// Runs until `isDone`. `cancel` is called if the simulation is to be cancelled.
    func run(stepLimit: UInt64 = .max, cancel: () -> Void = {}, until isDone: @escaping () -> Bool) -> End {
        self.stepLimit = stepLimit
        self.isDone = isDone
        defer { self.isDone = nil }
        while !isDone() {
            if stepCount >= stepLimit { return .stepLimit }
            if !isEnding, let end = endOfPower { return end }
            if hasForeignTask { return .foreignThread }
            if isCancelRequested.exchange(false, ordering: .relaxed) { cancel() }
            guard goOn() else { return .deadlock }
        }
        return .done
    }

    private var hasForeignTask: Bool { foreignTask.load(ordering: .relaxed) != 0 }

    /// Whether the body has returned, or the run ends for another reason.
    var isOver: Bool { isEnding || isDone?() == true || hasForeignTask }

    /// Runs a step of a host, or lets time pass, if none has anything to do. False if there is nothing to wait for.
    private func goOn(until limit: Nanoseconds = .never) -> Bool {
        let runnable = hosts.filter(\.canRun)
        guard !runnable.isEmpty else {
            stepsSinceEvent = 0
            return letTimePass(until: limit)
        }
        stepCount += 1
        stepsSinceEvent += 1
        let isProgress = runnable[runnable.count == 1 ? 0 : world.random.below(runnable.count)].step()
        // What one process does to a descriptor that another has as well is no event of the world.
        if isProgress, hasChildren { for host in hosts { host.needsTurn = true } }
        if stepsSinceEvent >= Self.spinLimit {
            stepsSinceEvent = 0
            _ = letTimePass(until: min(limit, world.now &+ Self.spinTime))
        }
        return true
    }

    /// Tasks that only yield until something has happened would stop the clock: after so many steps without an event,
    /// time passes all the same, so much at most.
    private static let spinLimit = 200
    private static let spinTime: Nanoseconds = 1_000_000

    /// Cancels what the hosts have in flight, lets their tasks end, and takes the hosts down.
    func endHosts() {
        guard !hasPrograms else {
            // A program that is cancelled would end the process by exit(3): it stays as it is, with all that it has.
            _ = Unmanaged.passRetained(self)
            return
        }
        isEnding = true
        world.isEnding = true
        for host in hosts {
            with(host) {
                host.body?.cancel()
                for loop in host.loops { loop.beginShutdown(.cancel) {} }
            }
            host.needsTurn = true
        }
        let end = run(stepLimit: stepCount + Self.endLimit) {
            self.hosts.allSatisfy { $0.loops.isEmpty && !$0.executor.hasJobs }
        }
        // A task that does not end, even cancelled, stays as it is, with all that it has.
        if end == .stepLimit { _ = Unmanaged.passRetained(self) } else { hosts = [] }
    }

    /// How many steps cancelled tasks have for their end.
    private static let endLimit: UInt64 = 1_000_000

    /// What is in flight, and the calls that wait, for the message about a deadlock.
    var waitingOperations: String { hosts.map(\.waitingOperations).joined(separator: "; ") }

    /// Lets the next event happen, or the clock reach the next deadline of a host, or `limit`. False if there is
    /// nothing to wait for.
    private func letTimePass(until limit: Nanoseconds = .never) -> Bool {
        let deadline = hosts.reduce(limit) { min($0, $1.nextDeadline) }
        let event = world.nextEvent
        guard min(deadline, event) != .never else { return false }
        if event <= deadline { world.runNextEvent() } else { world.advance(to: max(world.now, deadline)) }
        for host in hosts { host.needsTurn = true }
        return true
    }

    /// A thread of the process waits until a deadline, in an `IOQueue` or in a system call. Meanwhile the world goes
    /// on, by one step: this process's other tasks included, as if they had threads of their own.
    /// False if the deadline has passed; nil if nothing can happen, or at the limit of steps.
    func wait(until deadline: Nanoseconds) -> Bool? {
        let host = CurrentHost.value
        let goesOn = host?.working(false) { goOn(until: deadline) } ?? goOn(until: deadline)
        guard goesOn, stepCount < stepLimit else { return nil }
        return world.now < deadline
    }

    /// A synchronous wait, which no error could reach, is for what cannot happen: the power goes off, which ends it,
    /// and the simulation ends with a deadlock.
    func endStuckWait() {
        if !world.isOff { stuckOperations = waitingOperations }
        world.turnOff()
        for host in hosts { host.needsTurn = true }
    }
}
