/// One run of a scenario under one schedule: its threads, and the memory that they share.
///
/// Only the thread with the baton runs. Before each visible operation (a *point*) a thread
/// declares whether and when it can go on, and `Execution` decides who does.
final class Execution: @unchecked Sendable {
    // @unchecked: everything is accessed by the holder of the baton alone, which the carriers hand over.

    /// The running execution. Explorations take turns, and so one thread at a time writes it.
    nonisolated(unsafe) static var current: Execution?

    let rules: Rules
    var memory: SharedMemory
    var threads: [ExploredThread] = []
    /// The thread with the baton; nil while the scenario sets up, and when it checks the outcome.
    var running: ExploredThread?
    /// The decisions to follow, and behind them those that this execution has made.
    var decisions: DecisionPath
    var failure: String?
    /// The steps in words, if wanted.
    var trace: [String]?
    var atEnd: (() -> Void)?
    /// Whether the rest of this execution has been explored before: it goes on by a default schedule.
    var isPruned = false
    var preemptions = 0
    /// Counts writes, for threads that spin.
    var writes = 0
    var locks: [LockState] = []
    var conditions: [[ExploredThread]] = []
    private var keysOfSetup: UInt64 = 0
    private var records: UInt64 = 0
    private let carriers: any Carriers
    private let sharing: Sharing

    init(_ rules: Rules, _ decisions: DecisionPath, _ carriers: any Carriers, _ sharing: Sharing, isTraced: Bool) {
        self.sharing = sharing
        self.rules = rules
        self.decisions = decisions
        self.carriers = carriers
        memory = SharedMemory(isWeak: rules.memory == .weak)
        trace = isTraced ? [] : nil
    }

    struct LockState {
        let key: UInt64
        var holder: Int?
        /// Stands for the order of the critical sections so far, and with it for the memory that the lock guards.
        var history: UInt64 = 0
        var view = View()
    }

    // MARK: Threads

    /// Adds a thread. It runs once the scenario is set up, or from now on if another thread starts it.
    func addThread(_ name: String, _ body: @escaping () -> Void) {
        let thread = ExploredThread(threads.count, name)
        if let creator = running {
            thread.view = creator.view
            thread.history = mixed(creator.history, 0x7124)
        }
        threads.append(thread)
        carriers.carry(thread.id) { [unowned self] in thread.body(body, in: self) }
    }

    /// Runs all threads to their ends, or to a failure.
    func run() {
        if let first = threads.first {
            running = first
            carriers.run(first.id)
        }
        running = nil
        if failure == nil { atEnd?() }
        // It may hold objects that hold the execution.
        atEnd = nil
    }

    // MARK: Points

    /// Declares the running thread's next visible operation, and returns once the thread may carry it out.
    func point(_ condition: ExploredThread.Condition = .ready) {
        guard let thread = running else { return }
        thread.condition = condition
        passBaton(from: thread)
        thread.condition = .running
    }

    /// The same for an access to a word or a lock. It is no point if no other thread can notice it.
    func point(_ key: UInt64, writes: Bool, _ condition: ExploredThread.Condition = .ready) {
        guard let thread = running, sharing.isShared(key, by: thread.id, writes: writes) else { return }
        point(condition)
    }

    /// A name for a new word or lock: the same in each execution in which its creator has done the same.
    func newKey() -> UInt64 {
        guard let thread = running else {
            keysOfSetup += 1
            return keysOfSetup
        }
        thread.keys += 1
        return UInt64(thread.id + 1) << 32 | thread.keys
    }

    /// Called by a thread whose body has returned. Returns the thread that goes on; nil at the end.
    func finish(_ thread: ExploredThread) -> Int? {
        thread.condition = .finished
        guard let next = chooseThread(after: thread) else { return nil }
        running = next
        return next.id
    }

    /// Chooses the next thread and passes the baton. Returns when `thread` has it again.
    private func passBaton(from thread: ExploredThread) {
        guard let next = chooseThread(after: thread) else { return carriers.abandon(thread.id) }
        guard next !== thread else { return }
        if next.condition != .beginning, isEnabled(thread) { preemptions += 1 }
        running = next
        carriers.pass(from: thread.id, to: next.id)
    }

    private func chooseThread(after thread: ExploredThread) -> ExploredThread? {
        guard failure == nil else { return nil }
        // What comes before a thread's first point concerns nobody else.
        if let beginning = threads.first(where: { $0.condition == .beginning }) { return beginning }
        var enabled = threads.filter(isEnabled)
        if enabled.isEmpty {
            guard threads.contains(where: { $0.condition != .finished }) else { return nil }
            enabled = threads.filter { $0.condition.hasTimeout }
            guard !enabled.isEmpty else {
                failure = deadlock()
                return nil
            }
        }
        // The last thread first: the default schedule has the fewest switches.
        if let index = enabled.firstIndex(where: { $0 === thread }) {
            enabled.swapAt(0, index)
            if let limit = rules.preemptionLimit, preemptions >= limit { return thread }
        }
        return enabled[choose(enabled.count)]
    }

    private func deadlock() -> String {
        let waiting = threads.filter { $0.condition != .finished }.map { "\($0.name) waits: \($0.condition)" }
        return "no thread can go on; " + waiting.joined(separator: "; ")
    }

    private func isEnabled(_ thread: ExploredThread) -> Bool {
        switch thread.condition {
        case .beginning, .ready, .running: true
        case .finished: false
        case .needsLock(let lock): locks[lock].holder == nil
        case .awaitsWrite(let count): writes != count
        case .sleeps(_, let mayTimeOut):
            thread.isWoken || mayTimeOut && rules.timeouts == .anyTime && thread.timeouts < rules.timeoutLimit
        }
    }

    // MARK: Decisions

    /// One of `count` continuations; the explorer makes the execution again for each of the others.
    func choose(_ count: Int) -> Int {
        guard count > 1 else { return 0 }
        if let decided = decisions.next() { return decided }
        guard !isPruned, !sharing.hasGrown else { return 0 }
        guard decisions.isNew(stateHash) else {
            isPruned = true
            return 0
        }
        return decisions.add(count)
    }

    /// What the future depends on: the threads' histories, and the shared memory.
    private var stateHash: UInt64 {
        var hash = memory.hash(threads) ^ mixed(0x70_0000, records)
        for thread in threads {
            hash ^= mixed(UInt64(thread.id) &+ 0x1000, thread.history &+ (isEnabled(thread) ? 1 : 0))
        }
        for (index, lock) in locks.enumerated() {
            hash ^= mixed(UInt64(index) &+ 0x20_0000, lock.history &+ UInt64(bitPattern: Int64(lock.holder ?? -1)))
        }
        for (index, waiters) in conditions.enumerated() {
            hash ^= waiters.reduce(mixed(UInt64(index) &+ 0x30_0000, 1)) { mixed($0, UInt64($1.id)) }
        }
        if let limit = rules.preemptionLimit {
            hash ^= mixed(0x40_0000, UInt64(max(limit - preemptions, 0)) << 8 | UInt64((running?.id ?? -1) + 1))
        }
        // Within a step the thread chooses what it observes, and must not be confused with the step's beginning.
        return mixed(hash, running?.condition == .running ? UInt64((running?.id ?? 0) + 1) : 0)
    }

    /// The running thread learns a value: from now on its behaviour may depend on it.
    func observe(_ value: UInt64) {
        guard let thread = running else { return }
        thread.history = mixed(thread.history, value)
    }

    /// Notes something that the scenario checks later.
    func record(_ value: UInt64) { records = mixed(records, value) }

    /// The running thread is in a state that `state` describes alone: what it has observed no longer matters, and fewer
    /// states are told apart.
    func forget(_ state: UInt64) {
        guard let thread = running else { return }
        thread.history = mixed(UInt64(thread.id), mixed(state, thread.time))
    }

    /// Notes a step in words.
    func note(_ file: StaticString, _ line: UInt, _ text: @autoclosure () -> String) {
        guard trace != nil, let running else { return }
        let name = "\(file)".split(separator: "/").last ?? ""
        trace?.append("\(running.name): \(name):\(line) \(text())")
    }

    /// Reports that the code under test does what it must not. A thread does not return from here.
    func fail(_ text: String) {
        guard failure == nil else { return }
        failure = text
        guard let thread = running else { return }
        carriers.abandon(thread.id)
    }
}

/// A thread of a scenario.
final class ExploredThread {
    let id: Int
    let name: String
    var condition = Condition.beginning
    /// A hash of all that the thread has observed. Its code is deterministic, and so this stands for its own state.
    var history: UInt64
    var isWoken = false
    var timeouts = 0
    var locksHeld = 0
    /// The number of writes when it last went on after a spin.
    var writesSeen = 0
    /// How many words and locks it has made.
    var keys: UInt64 = 0
    /// What the thread knows of the memory, under weak memory.
    var view = View()
    /// The time on the thread's clock: a deadline that has passed for it.
    var time: UInt64 = 1
    /// The task that it carries out.
    var task: ExploredTask?

    /// When the thread can go on.
    enum Condition: Equatable {
        case beginning
        case ready
        case running
        case finished
        case needsLock(Int)
        /// A thread that spins goes on after another one has written something.
        case awaitsWrite(Int)
        case sleeps(String, mayTimeOut: Bool)

        var hasTimeout: Bool {
            if case .sleeps(_, true) = self { true } else { false }
        }
    }

    init(_ id: Int, _ name: String) {
        self.id = id
        self.name = name
        history = UInt64(id)
    }

    func body(_ body: () -> Void, in execution: Execution) -> Int? {
        condition = .running
        body()
        return execution.finish(self)
    }
}

/// A good 64-bit mixture of two words (splitmix64's finalizer).
func mixed(_ one: UInt64, _ other: UInt64) -> UInt64 {
    var word = (one &* 0x9e37_79b9_7f4a_7c15) ^ (other &+ 0xd1b5_4a32_d192_ed03)
    word = (word ^ word >> 30) &* 0xbf58_476d_1ce4_e5b9
    word = (word ^ word >> 27) &* 0x94d0_49bb_1331_11eb
    return word ^ word >> 31
}
