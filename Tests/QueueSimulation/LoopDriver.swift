import AIOCore
import CKernel

/// What the threads around a simulated loop do, and what must come of it.
extension LoopSimulation {
    /// The first thing that did not hold, and at which step; nil if all did.
    static func failure(
        of seed: UInt64, steps: some Sequence<Int>, tellsStory: Bool = false
    ) -> (reason: String, step: Int, story: String)? {
        let simulation = LoopSimulation(seed: seed)
        if tellsStory { simulation.story = Story() }
        simulation.run(steps)
        defer { simulation.end() }
        return simulation.failure.map { ($0, simulation.step, simulation.story?.tail(80) ?? "") }
    }

    private func run(_ steps: some Sequence<Int>) {
        inItsWorld {
            for step in steps where failure == nil && endCount == 0 {
                self.step = step
                random = StepRandom(seed: seed, step: step)
                takeStep()
            }
            quiet()
        }
    }

    private func takeStep() {
        switch random.below(16) {
        case 0..<6: turn()
        case 6..<9: stageHere()
        case 9..<14: actElsewhere()
        case 14: now += random.nanoseconds(below: 100_000)
        default: if random.isOne(in: 16) { shutDown(cancelling: random.isOne(in: 2)) }
        }
    }

    private func turn() {
        guard let loop else { return }
        tell("turn")
        let isOver = endCount > 0
        let goesOn = loop.turn()
        check(goesOn == (endCount == 0), "a turn returns \(goesOn), and the loop has ended \(endCount) times")
        check(!isOver || !goesOn, "the loop goes on after its end")
        check(goesOn || openCount == 0, "the loop ends with \(openCount) operations")
    }

    /// Everything comes to its end.
    private func quiet() {
        isQuiet = true
        for round in 0..<200 where failure == nil && endCount == 0 {
            step += 1
            while !prepared.isEmpty { stage(elsewhere: false) }
            if round == 2 { shutDown(cancelling: true) }
            now += 100_000
            turn()
        }
        check(endCount == 1, "the loop ends \(endCount) times, with \(openCount) operations in flight")
        guard failure == nil else { return }
        check(loop?.inFlightCount == 0, "operations are in flight after the end")
        check(loop?.prepare(.nop, context: 0, deadline: .never) == nil, "an ended loop accepts an operation")
        check(loop?.turn() == false, "an ended loop turns")
        check(engineIsGone, "the engine outlives its loop")
    }

    // MARK: What threads do

    /// Something that another thread does now, or nothing.
    func actElsewhere() {
        guard endCount == 0, failure == nil else { return }
        other.perform {
            switch self.isQuiet ? 7 : self.random.below(8) {
            case 0, 1, 2:
                if self.prepare() { self.stage(elsewhere: true) }
            case 3: _ = self.prepare()
            case 4: if !self.prepared.isEmpty { self.stage(elsewhere: true) }
            case 5: self.cancelSome(elsewhere: true)
            case 6 where self.random.isOne(in: 24): self.shutDown(cancelling: self.random.isOne(in: 2))
            case 6: self.addJob()
            default: break
            }
        }
    }

    /// Whether the loop has announced its sleep, and not yet begun it.
    var isAtTheDoor: Bool { !isAsleep && !isQuiet }

    private func stageHere() { if prepare() { stage(elsewhere: false) } }

    private func addJob() {
        tell("another thread: job")
        jobCount += 1
        loop?.wakeIfAsleep()
        noteNews()
    }

    /// News for a loop that is asleep must wake it.
    private func noteNews() {
        if isAsleep { check(isWoken, "news for a loop that sleeps does not wake it") }
        hasNews = true
    }

    func runJobs() -> Bool {
        tell("  loop: jobs")
        hasNews = false
        if jobCount > 0 { jobCount -= 1 }
        return jobCount > 0
    }

    private func prepare() -> Bool {
        var item = Item()
        let operation: AIOCore.Operation
        switch random.below(6) {
        case 0: operation = .poll(Descriptor(5, kind: .stream), events: CK_POLLIN)
        case 1:
            operation = .close(5)
            item.isRelease = true
        case 2:
            operation = .pollEach(Descriptor(6, kind: .stream), events: CK_POLLIN)
            item.isRepeating = true
        case 3:
            item.deadline = now + random.nanoseconds(below: 300_000)
            operation = .timeout(deadline: item.deadline)
        default: operation = .nop
        }
        if item.deadline == .never, !item.isRelease, random.isOne(in: 4) {
            item.deadline = now + random.nanoseconds(below: 300_000)
        }
        let context = UInt(items.count)
        guard let token = loop?.prepare(operation, context: context, deadline: item.deadline) else { return false }
        item.token = token
        items.append(item)
        prepared.append(Int(context))
        return true
    }

    private func stage(elsewhere: Bool) {
        let index = prepared.remove(at: random.below(prepared.count))
        tell("\(elsewhere ? "another" : "this") thread: stage \(index)")
        items[index].isStaged = true
        openCount += 1
        loop?.stage(items[index].token)
        if elsewhere { noteNews() }
    }

    private func cancelSome(elsewhere: Bool) {
        guard items.count > 1 else { return }
        // Often a stale one.
        let index = random.isOne(in: 4) ? 1 + random.below(items.count - 1) : max(1, items.count - 1 - random.below(4))
        tell("another thread: cancel \(index)")
        // The slot of an operation that is over may be another's by now, whose token differs.
        if !items[index].isOver { items[index].isCancelAsked = true }
        loop?.requestCancel(items[index].token)
        if elsewhere { noteNews() }
    }

    private func shutDown(cancelling: Bool) {
        tell("shutdown, cancelling \(cancelling)")
        let isNews = !shutdownIsAsked || cancelling && !isCancelling
        shutdownIsAsked = true
        if cancelling { isCancelling = true }
        loop?.beginShutdown(cancelling: cancelling)
        if isNews { noteNews() }
        check(loop?.isRunning == false, "a loop runs after a shutdown was asked for")
    }

    // MARK: What must come of it

    func take(_ delivery: Delivery) {
        let index = Int(delivery.context)
        tell("  delivered \(index): \(delivery.completion.result)")
        guard index > 0, index < items.count else { return check(false, "a completion of no operation") }
        let item = items[index]
        let completion = delivery.completion
        check(item.token == completion.token, "a completion with another token")
        check(item.isStaged && !item.isOver, "operation \(index) completes, and is over or not staged")
        let isMore = completion.flags.contains(.more)
        check(!isMore || item.isRepeating, "operation \(index) has more")
        checkResult(item, index, completion)
        items[index].result = nil
        guard !isMore else { return }
        items[index].isOver = true
        openCount -= 1
    }

    private func checkResult(_ item: Item, _ index: Int, _ completion: Completion) {
        if completion.result == -ECANCELED {
            let isRight = item.isCancelAsked || isCancelling || item.deadline <= now
            check(isRight && !item.isRelease, "operation \(index) is cancelled for no reason")
            check(
                !completion.flags.contains(.deadlinePassed) || item.deadline <= now,
                "the deadline of operation \(index) passes early")
        } else if let result = item.result {
            check(completion.result == result, "operation \(index): \(completion.result), and not \(result)")
        } else {
            check(completion.result == 0 && item.deadline <= now, "operation \(index) completes by itself")
        }
    }

    func loopEnded() {
        endCount += 1
        check(shutdownIsAsked, "the loop ends, and nobody asked")
        check(openCount == 0, "the loop ends with \(openCount) operations")
    }
}
