import AIOCore
import CKernel

extension Simulation {
    /// Runs a seed. nil if all held.
    static func failure(of seed: UInt64, steps: some Sequence<Int>, tellsStory: Bool = false) -> Simulation? {
        let simulation = Simulation(seed: seed, tellsStory: tellsStory)
        simulation.run(steps)
        return simulation.failure == nil ? nil : simulation
    }

    func run(_ steps: some Sequence<Int>) {
        inItsWorld {
            for step in steps {
                takeStep(step)
                if failure != nil { return }
            }
            quiet()
            // After a failure the queue may have operations that nobody completes: it is left alone.
            if failure == nil { destroy() }
        }
    }

    /// Whatever runs ends: nothing may be left.
    private func quiet() {
        tell("all that runs may end")
        isQuiet = true
        let isCancelling = random.isOne(in: 2)
        let isDiscarding = isCancelling && random.isOne(in: 2)
        if isDiscarding { discardPrepared() }
        for round in 0..<2_000 {
            step += 1
            while !isDiscarding, !preparedSlots.isEmpty, failure == nil { stagePrepared() }
            if isCancelling || round > 20 { cancelEverything() }
            if round % 4 == 3, readyCount == 0, inFlight > 0 {
                turnUntil()
            } else if round % 4 == 1 {
                submit()
            } else {
                turn()
            }
            if isDiscarding, failure == nil, readyCount == inFlight, !hasMore { break }
            while readyCount > 0, failure == nil, !isDiscarding || hasMore { popReady() }
            if failure != nil || inFlight == 0 { break }
            if active.isEmpty, completions.isEmpty, round % 8 == 7 { now += 2_000_000 }
        }
        guard failure == nil else { return }
        if isDiscarding { return }
        check(inFlight == 0, "\(inFlight) operations never end")
    }

    private var hasMore: Bool {
        for index in 0..<placeCount where places[index].phase == .more { return true }
        return false
    }

    /// A token that was prepared must be staged: so all are, before nobody takes completions any more.
    private func discardPrepared() { while !preparedSlots.isEmpty, failure == nil { stagePrepared() } }

    private func cancelEverything() {
        begin(.other)
        let expected = expectCancelAll(on: -1, except: nil)
        let count = queue.pointee.requestCancelAll()
        check(count == expected, "a cancel of all asks \(count) and not \(expected)")
        end(collects: false)
    }

    private func destroy() {
        queue.pointee.discardReady()
        check(queue.pointee.inFlightCount == 0, "discarding leaves something in flight")
        var count = 0
        while queue.pointee.prepare(.nop, context: 0) != nil { count += 1 }
        check(count == queueDepth, "\(count) places of \(queueDepth) are free at the end")
        if waitingLimit > 0 {
            count = 0
            while queue.pointee.prepare(.poll(Descriptor(1), events: 1), context: 0) != nil { count += 1 }
            check(count == waitingLimit, "\(count) waiting places of \(waitingLimit) are free at the end")
        }
        queue.deinitialize(count: 1)
        check(engineIsGone, "the engine outlives its queue")
        check(descriptors.areAllClosed, "a descriptor of the queue is left open")
        check(
            descriptorsMade == descriptorsEnded, "\(descriptorsMade) descriptors were made, \(descriptorsEnded) ended")
    }
}
