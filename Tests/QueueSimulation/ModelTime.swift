import AIOCore
import CKernel

/// What must hold about time: deadlines, timers, pauses, and how long the queue may sleep.
extension Simulation {
    /// When the queue has to act on a place by itself.
    @inline(__always)
    func eventTime(_ place: Place) -> Nanoseconds {
        switch place.pointee.phase {
        case .free, .prepared, .final: .never
        case .timer: min(place.pointee.due, place.pointee.deadline)
        case .pausing: min(place.pointee.pauseEnd, place.pointee.deadline)
        case .held, .withEngine, .awaitingStage, .attempting, .more:
            // One that was asked to end before its deadline keeps the deadline, which then does nothing.
            place.pointee.has(.timer) || place.pointee.isDeadlinePassed ? .never : place.pointee.deadline
        }
    }

    var earliest: Nanoseconds {
        var earliest = Nanoseconds.never
        for index in 0..<placeCount { earliest = min(earliest, eventTime(places + index)) }
        return earliest
    }

    /// Called at each `enter`: what the queue has let in, and how long it is about to sleep.
    func noteEntry(_ count: Int, _ deadline: Nanoseconds) {
        call.entries += 1
        if count > 0 { call.sleeps += 1 }
        // The queue has collected since its last entry, but for a drain.
        if call.kind == .drain { noteThread() } else if !call.isBeforeCollecting { settleTime() }
        checkAdmission(count)
        guard count > 0 else { return }
        check(call.kind == .turnUntil || call.kind == .wait, "the queue sleeps where it must not")
        var end = min(call.deadline, earliest)
        if pace.isHolding {
            end = min(end, now + 50_000)
            check(count == 1, "the queue sleeps for \(count) completions while it holds operations")
        }
        check(deadline == end, "the queue sleeps until \(deadline) and not until \(end), now \(now)")
    }

    private func checkAdmission(_ count: Int) {
        let admitted = call.admitted
        call.admitted = 0
        let allowance: Int
        switch call.kind {
        case .submit where call.entries == 1: allowance = .max
        case .turn where call.entries == 1, .turnUntil where call.entries == 1, .wait where call.entries == 1:
            allowance = pace.allowance(hasReady: call.hadReady)
        case .wait where count > 0 && call.sleeps > 1: allowance = pace.allowance(hasReady: false)
        case .other where call.entries == 1 && isExporting: allowance = .max
        default: allowance = 0
        }
        settleAdmission(admitted, allowance)
    }

    /// A turn has let in so many of the held operations, and may let in so many.
    func settleAdmission(_ admitted: Int, _ allowance: Int) {
        check(admitted <= allowance, "\(admitted) held operations were let in and not \(allowance)")
        guard admitted < allowance else { return }
        while let token = pace.first {
            pace.removeFirst()
            let place = place(of: token)
            let isHeld = place.pointee.token == token && place.pointee.phase == .held
            check(!isHeld, "\(name(place)) is held on, though \(allowance) may be let in")
        }
    }

    /// After a call that collects: everything whose time had passed must have been seen to.
    func settleTime() {
        for index in 0..<placeCount {
            let place = places + index
            guard eventTime(place) <= now else { continue }
            switch place.pointee.phase {
            case .timer: settleTimer(place)
            case .pausing:
                guard place.pointee.deadline <= now else {
                    fail("\(name(place)) is not tried again after its pause")
                    continue
                }
                expire(place)
                finish(place, -ECANCELED, [])
            case .held:
                expire(place)
                if place.pointee.isDeadlinePassed { finish(place, -ECANCELED, []) }
            case .more: expire(place)
            case .withEngine:
                guard !place.pointee.has(.release) else { continue }
                check(place.pointee.isCancelAskedOfEngine, "the deadline of \(name(place)) has passed unnoticed")
                expire(place)
            case .free, .prepared, .final, .awaitingStage, .attempting: break
            }
        }
    }

    /// The queue has taken note of a deadline.
    private func expire(_ place: Place) {
        place.pointee.isDeadlinePassed = true
        guard !place.pointee.isCancelAsked else { return }
        place.pointee.isCancelAsked = true
        coverage.deadlines += 1
    }

    private func settleTimer(_ place: Place) {
        let due = place.pointee.due
        guard due <= now, due <= place.pointee.deadline else {
            expire(place)
            return finish(place, -ECANCELED, [])
        }
        guard place.pointee.has(.repeating) else { return finish(place, 0, []) }
        let ticks = (now - due) / place.pointee.interval + 1
        let (elapsed, overflows) = ticks.multipliedReportingOverflow(by: place.pointee.interval)
        let (next, isBeyond) = due.addingReportingOverflow(elapsed)
        place.pointee.due = overflows || isBeyond ? .never : next
        coverage.repeated += 1
        ready(place, .more, Int32(clamping: ticks), .more)
    }
}
