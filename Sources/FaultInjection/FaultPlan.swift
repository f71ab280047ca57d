internal import AIOCore
internal import CKernel
internal import Synchronization

/// A plan of faults: decides at the door to the kernel (`KernelStandIn`) which system calls fail, transfer less, take
/// long, or hang, and counts the calls.
///
/// A plan is for the whole process. Rules with a path concern the files below that alone, so tests with folders of
/// their own do not meet. A ring and Linux AIO execute operations within the kernel, past the door; so while a plan is
/// installed, the engines carry out what its rules may concern by system calls: workers for files, attempts without
/// waiting for streams and sockets (`StagedAtDoor.swift`). The results come back through the engine as any others.
///
/// It is a target of its own, and not part of `AIOCore`: no program has it that does not ask for it. The command does,
/// in debug builds.
package final class FaultPlan: @unchecked Sendable {
    // @unchecked: everything that changes is accessed under the lock.
    private let lock = Lock()
    private var rules: FaultRules
    private var random = RuleRandom()
    private var names = OpenNames()
    /// Where calls are recorded; nil for nowhere.
    private var recording: FaultRule?
    private var made: [MadeCall] = []
    private var fired = 0
    private var log: CallLog?
    private var standIn: KernelStandIn?
    /// 1 once what hangs, or is slow, may go on: a futex word, which lives as long as the plan. So does the plan, once
    /// it is installed.
    private let isReleased = UnsafeMutablePointer<Atomic<UInt32>>.allocate(capacity: 1)

    package init(_ rules: [FaultRule] = []) {
        self.rules = FaultRules(rules)
        isReleased.initialize(to: Atomic(0))
    }

    deinit { isReleased.deallocate() }

    /// Makes the plan effective, for the rest of the process. Without rules it changes nothing.
    package func install() {
        let standIn = KernelStandIn(
            answer: { [self] in answer($0) }, takes: { [self] in takes($0) })
        self.standIn = standIn
        Kernel.install(standIn)
    }

    /// Replaces the rules, and counts from the beginning. What is open keeps its paths.
    package func set(_ rules: [FaultRule]) {
        locked {
            self.rules = FaultRules(rules)
            fired = 0
        }
    }

    /// Records the calls under a path, or all with nil, until `endRecording`.
    package func record(under path: String?) {
        locked {
            recording = FaultRule(nil, under: path, .short(0))
            made = []
        }
    }

    /// The calls made since `record`, in order.
    package func endRecording() -> [MadeCall] {
        locked {
            recording = nil
            return made
        }
    }

    /// Writes a line for each call to this file, from now on. False if it cannot be opened.
    func writeLog(to path: UnsafePointer<CChar>) -> Bool {
        let opened = CallLog(path: path)
        locked { log = opened }
        return opened != nil
    }

    /// How many calls did not go as the kernel would have had it, since `set`.
    package var firedCount: Int { locked { fired } }

    /// Lets what hangs or is slow go on, and what comes later at once.
    package func release() {
        // Sequentially consistent: the word changes before its waiters are woken.
        isReleased.pointee.store(1, ordering: .sequentiallyConsistent)
        // Not by a call that a rule might hold up.
        Kernel.futexWakePastStandIn(isReleased, .max)
    }

    private func locked<Result>(_ body: () -> Result) -> Result {
        lock.lock()
        defer { lock.unlock() }
        return body()
    }

    // MARK: At the door

    private func answer(_ call: SystemCall) -> Int? {
        guard let form = CallForm.of(call.number) else { return nil }
        // Before the lock: these copies are system calls themselves.
        let texts = form.arguments.enumerated().map { $1.isPath ? text(at: call[$0]) : nil }
        let (action, paths) = locked { judge(call, form, texts) }
        let isClose = call.number == CK_NR_close
        if isClose { locked { names.remove(Int32(truncatingIfNeeded: call.a)) } }
        switch action {
        case nil: break
        case .fail(let errno):
            if isClose { _ = execute(call) }
            return -Int(errno)
        case .short(let count): return form.execute(call, limit: { min($0, count) }, by: execute)
        case .half: return form.execute(call, limit: { $0 - $0 / 2 }, by: execute)
        case .flip:
            let result = execute(call)
            locked { form.flipBit(of: call, result) { random.below($0) } }
            return result
        case .slow(let time): wait(until: Kernel.now() &+ time)
        case .hang: wait(until: .never)
        }
        // libc makes the call, and may.
        if call.number == CK_NR_clone { return nil }
        let result = execute(call)
        if result >= 0 { locked { nameMade(by: call, form, result, paths) } }
        return result
    }

    private func nameMade(by call: SystemCall, _ form: CallForm, _ result: Int, _ paths: [[UInt8]]) {
        switch form.makes {
        case .file, .nameless: names.add(Int32(truncatingIfNeeded: result), paths.first)
        case .pair(_, let index):
            // Sound: the kernel has just written two numbers there.
            guard let made = UnsafePointer<Int32>(bitPattern: call[index]) else { return }
            for number in [made[0], made[1]] { names.add(number, paths.first) }
        case .nothing:
            guard call.number == CK_NR_fcntl, call.b == Int(CK_F_DUPFD_CLOEXEC) else { return }
            names.add(Int32(truncatingIfNeeded: result), paths.first)
        }
    }

    /// Under the lock: what happens to the call, and its paths.
    private func judge(_ call: SystemCall, _ form: CallForm, _ texts: [[UInt8]?]) -> (FaultRule.Action?, [[UInt8]]) {
        var paths: [[UInt8]] = []
        for (index, argument) in form.arguments.enumerated() {
            switch argument {
            case .descriptor:
                if let path = names.path(of: Int32(truncatingIfNeeded: call[index])) { paths.append(path) }
            case .path:
                let directory = Int32(truncatingIfNeeded: call[index - 1])
                if let text = texts[index], let path = names.absolute(text, from: directory) { paths.append(path) }
            case .pathFromAnywhere:
                if let text = texts[index], let path = names.absolute(text, from: CK_AT_FDCWD) { paths.append(path) }
            default: break
            }
        }
        switch form.makes {
        case .nameless(let name), .pair(let name, _): paths.append(Array(bytes(of: name)))
        case .nothing, .file: break
        }
        if let recording, recording.applies(to: form, on: paths) {
            made.append(MadeCall(name: form.name, files: paths))
        }
        let action = rules.action(on: form, paths) { random.below($0) }
        if action != nil { fired += 1 }
        log?.note(call, form, isFault: action != nil)
        return (action, paths)
    }

    private func execute(_ call: SystemCall) -> Int { standIn?.passOn(call) ?? call.executed() }

    /// Sleeps until `release`, or the time comes.
    private func wait(until deadline: Nanoseconds) {
        // Sequentially consistent: pairs with the store in `release`.
        while isReleased.pointee.load(ordering: .sequentiallyConsistent) == 0 {
            guard Kernel.now() < deadline else { return }
            _ = Kernel.futexWaitPastStandIn(isReleased, while: 0, until: deadline)
        }
    }

    // MARK: Operations

    /// Whether a rule, or the recording, may concern the operation's system calls.
    private func takes(_ operation: Operation) -> Bool {
        let subject = OperationSubject(operation)
        return locked {
            let paths = subject.paths(names)
            return rules.mayConcern(paths) || recording?.mayApply(on: paths) == true
        }
    }
}

extension CallForm.Argument {
    fileprivate var isPath: Bool {
        switch self {
        case .path, .pathFromAnywhere: true
        default: false
        }
    }
}

/// The random choices of a plan: SplitMix64 (Steele, Lea, Flood 2014), the same in each run.
private struct RuleRandom {
    private var state: UInt64 = 1

    mutating func below(_ bound: Int) -> Int {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return Int((mixed ^ (mixed >> 31)) % UInt64(bound))
    }
}
