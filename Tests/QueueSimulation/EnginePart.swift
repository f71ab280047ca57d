import AIOCore
import CKernel

/// What the queue asks of the engine.
extension Simulation {
    func engineStage(_ operation: Operation, _ token: Token, isForWorker: Bool) {
        guard Int(token.rawValue & 0xffff_ffff) < placeCount else { return fail("staged with a token of no place") }
        let place = place(of: token)
        guard place.pointee.token == token else { return fail("staged with a stale token") }
        switch place.pointee.phase {
        case .awaitingStage: break
        case .held: takeFromHeld(place)
        case .pausing:
            check(now >= place.pointee.pauseEnd, "\(name(place)) is tried again before its pause is over")
            place.pointee.form = .own
        case .more:
            check(call.kind == .drain, "the next step of \(name(place)) begins before the drain of the last")
            check(!place.pointee.hasGoneOn, "\(name(place)) begins two steps at once")
            check(!place.pointee.isCancelAsked, "\(name(place)) goes on after a cancel")
            place.pointee.hasGoneOn = true
            place.pointee.epoch = epoch
            place.pointee.form = .own
            if place.pointee.has(.buffered), !groups.exists(place.pointee.group) {
                return fail("\(name(place)) goes on without its group")
            }
            if place.pointee.has(.buffered), groups[Int(place.pointee.group)].freeCount == 0 {
                place.pointee.form = .pollIn
            } else if place.pointee.has(.buffered) {
                groups[Int(place.pointee.group)].freeCount -= 1
            }
        case .free, .prepared, .attempting, .withEngine, .timer, .final:
            return fail("\(name(place)) is staged in the phase \(place.pointee.phase)")
        }
        checkForm(place, operation, isForWorker: isForWorker)
        tell("  engine: stage \(name(place)) \(place.pointee.form)")
        place.pointee.phase = .withEngine
        place.pointee.engineOperation = operation
        place.pointee.isEntered = false
        place.pointee.isDropped = false
        place.pointee.isCompleted = false
        place.pointee.isCancelAskedOfEngine = false
        place.pointee.isInRing = lostErrno == 0
        place.pointee.activeIndex = Int32(active.count)
        active.append(slot(of: place))
        unenteredCount += 1
        if call.kind == .other, !isExporting { stagedByCallerCount += 1 }
        // What can be done at once may be.
        if !isQuiet, random.isOne(in: 16) { complete(place) }
    }

    /// A held operation is let in: the oldest first.
    private func takeFromHeld(_ place: Place) {
        // A wait has collected before.
        if call.kind == .wait, call.entries > 0 { settleTime() }
        call.admitted += 1
        place.pointee.epoch = epoch
        place.pointee.form = .own
        while let first = pace.first {
            pace.removeFirst()
            if first == place.pointee.token { return }
            let other = self.place(of: first)
            check(
                other.pointee.token != first || other.pointee.phase != .held,
                "\(name(place)) overtakes \(name(other)) among what is held")
        }
        fail("\(name(place)) was let in twice")
    }

    func engineRequestCancel(_ token: Token) {
        guard Int(token.rawValue & 0xffff_ffff) < placeCount else { return fail("a cancel of no place") }
        let place = place(of: token)
        guard place.pointee.token == token, place.pointee.phase == .withEngine else {
            return fail("the engine is asked to cancel what it does not have")
        }
        if !place.pointee.isCancelAsked {
            check(
                place.pointee.deadline <= now && !place.pointee.has(.release), "nobody asked to cancel \(name(place))")
            place.pointee.isCancelAsked = true
            place.pointee.isDeadlinePassed = true
            coverage.deadlines += 1
        }
        check(!place.pointee.isCancelAskedOfEngine, "\(name(place)) is cancelled twice")
        tell("  engine: cancel \(name(place))")
        place.pointee.isCancelAskedOfEngine = true
        // Often at once, otherwise later or too late.
        if !place.pointee.isCompleted, !isLostInRing(place), random.isOne(in: 3) { complete(place) }
    }

    func engineDrain(into buffer: UnsafeMutableBufferPointer<Completion>) -> Int {
        isWoken = false
        if lostErrno != 0, !hasNotedLoss {
            hasNotedLoss = true
            epoch &+= 1
        }
        var count = 0
        while count < buffer.count, let completion = completions.popFirst() {
            let place = place(of: completion.token)
            guard place.pointee.token == completion.token, place.pointee.phase == .withEngine else { continue }
            buffer.initializeElement(at: count, to: completion)
            count += 1
            react(place, completion.result, completion.flags)
        }
        return count
    }

    func engineRegister(_ count: Int, _ kind: Int) -> Int {
        check(
            expectedRegistration.count == count && expectedRegistration.call == kind,
            "a registration does not reach the engine")
        return expectedRegistration.result
    }

    // MARK: A lost ring

    func isLostInRing(_ place: Place) -> Bool {
        lostErrno != 0 && place.pointee.phase == .withEngine && place.pointee.isInRing && !place.pointee.isCompleted
    }

    func engineIsLost(_ token: Token) -> Bool {
        let place = place(of: token)
        return place.pointee.token == token && isLostInRing(place)
    }

    /// The queue settles it as cancelled by itself.
    func engineGiveUp(_ token: Token) {
        let place = place(of: token)
        guard engineIsLost(token) else { return fail("the engine gives up what is not lost") }
        tell("  engine: give up \(name(place))")
        leaveActive(place)
        react(place, -ECANCELED, [])
    }

    func leaveActive(_ place: Place) {
        let index = Int(place.pointee.activeIndex)
        guard index >= 0 else { return }
        let last = active.removeLast()
        if index < active.count {
            active[index] = last
            places[Int(last)].activeIndex = Int32(index)
        }
        place.pointee.activeIndex = -1
    }

    /// From now on the ring cannot be entered. What it has taken goes on there, and what it has not comes back.
    func loseRing() {
        tell("the ring is lost")
        coverage.lost += 1
        lostErrno = EPERM
        engineDescriptor = 51
        for slot in active where !places[Int(slot)].isEntered {
            places[Int(slot)].isDropped = true
        }
        while let slot = active.first(where: { places[Int($0)].isDropped && !places[Int($0)].isEntered }) {
            post(places + Int(slot), -ECANCELED, [])
        }
        isWoken = true
    }
}
