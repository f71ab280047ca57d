internal import CKernel

/// Operations that complete more than once, and receives that take their buffer late. An engine knows neither: it gets
/// one step at a time.
///
/// A step that is not the operation's end is delivered with `CompletionFlags.more`, and the next one begins when that
/// completion is drained. So an operation never has more than one completion waiting, the table's places bound them all,
/// and whoever does not drain is not flooded. A ring's own multishot forms would save a submission entry a completion,
/// but bound nothing: what is not drained fills the completion ring and ends the operation in the middle; and a poll in
/// that form tells only of what is new, so that data left unread would never be told of again.
extension EngineQueue {
    /// A first step.
    mutating func stageSteps(_ token: Token) {
        table.setStepping(token)
        let deadline = table[token].pointee.deadline
        if deadline != .never { deadlines.insert(token.slot, deadline) }
        step(token, isReady: false)
    }

    /// Gives the engine what is to be done next. `isReady`: the descriptor is readable.
    mutating func step(_ token: Token, isReady: Bool) {
        let slot = table[token]
        guard case .socket(.receiveBuffered(let socket, let group, let flags, _)) = slot.pointee.operation else {
            return engine.stage(slot.pointee.operation.oneStep, token)
        }
        switch groups.take(group) {
        case .noSuchGroup: finish(token, -EINVAL, [])
        case .noneFree where isReady || flags & CK_MSG_DONTWAIT != 0: finish(token, -ENOBUFS, [])
        case .noneFree:
            table.setAwaitingReadiness(token, true)
            engine.stage(.poll(socket, events: CK_POLLIN), token)
        case .buffer(let buffer, let base, let count):
            slot.pointee.buffer = buffer
            slot.pointee.hasBuffer = true
            // Data that is there is received at once; for what is not there yet, no buffer is kept.
            engine.stage(.socket(.receive(socket, base, count: count, flags: flags | CK_MSG_DONTWAIT)), token)
        }
    }

    /// A step that brought nothing needs no buffer.
    mutating func giveBackBuffer(_ slot: UnsafeMutablePointer<InFlightTable.Slot>) {
        guard slot.pointee.hasBuffer, case .socket(.receiveBuffered(_, let group, _, _)) = slot.pointee.operation
        else { return }
        slot.pointee.hasBuffer = false
        _ = groups.provide(Int(group), Int(slot.pointee.buffer))
    }

    /// A step has come to a result: the operation's end, or one of its completions.
    mutating func endStep(_ completion: Completion, _ slot: UnsafeMutablePointer<InFlightTable.Slot>) {
        let token = completion.token
        var flags = completion.flags
        if slot.pointee.hasBuffer {
            slot.pointee.hasBuffer = false
            flags.setBuffer(slot.pointee.buffer)
        }
        guard slot.pointee.operation.goesOn(after: completion.result) else {
            return finish(token, completion.result, flags)
        }
        deliverMore(token, completion.result, flags)
    }

    private mutating func deliverMore(_ token: Token, _ result: Int32, _ flags: CompletionFlags) {
        table.setResting(token)
        deliver(token, result, flags.union(.more))
    }

    /// One of its completions was drained.
    mutating func goOn(_ token: Token) {
        let slot = table[token]
        table.setStepping(token)
        guard !slot.pointee.isCancelRequested else { return finish(token, -ECANCELED, []) }
        if case .repeatingTimeout(let due, _) = slot.pointee.operation {
            deadlines.insert(token.slot, min(due, slot.pointee.deadline))
            return
        }
        slot.pointee.issuerChanges = issuerChanges
        hasStagedAgain = true
        step(token, isReady: false)
    }

    // MARK: Timers

    mutating func stageTimer(_ token: Token, first: Nanoseconds, interval: Nanoseconds) {
        guard interval > 0 else { return finish(token, -EINVAL, []) }
        table.setStepping(token)
        deadlines.insert(token.slot, min(first, table[token].pointee.deadline))
    }

    /// A repeating timer's time has come, or its deadline has passed.
    mutating func expireTimer(_ token: Token, due: Nanoseconds, interval: Nanoseconds, _ now: Nanoseconds) {
        let slot = table[token]
        guard due <= now, due <= slot.pointee.deadline else {
            slot.pointee.isDeadlinePassed = true
            return finish(token, -ECANCELED, [])
        }
        let count = (now - due) / interval + 1
        let (elapsed, overflows) = count.multipliedReportingOverflow(by: interval)
        let (next, isBeyond) = due.addingReportingOverflow(elapsed)
        slot.pointee.operation = .repeatingTimeout(first: overflows || isBeyond ? .never : next, interval: interval)
        deliverMore(token, Int32(clamping: count), [])
    }
}

extension Operation {
    /// Whether it completes more than once.
    public var isRepeating: Bool {
        switch self {
        case .pollEach, .repeatingTimeout, .socket(.acceptEach): true
        case .socket(.receiveBuffered(_, _, _, let isRepeating)): isRepeating
        default: false
        }
    }

    /// Whether a completion with this result, which is no error, is not its last.
    fileprivate func goesOn(after result: Int32) -> Bool {
        if case .socket(.receiveBuffered) = self, result == 0 { return false }
        return isRepeating
    }

    /// What an engine does of it.
    fileprivate var oneStep: Operation {
        switch self {
        case .pollEach(let descriptor, let events): .poll(descriptor, events: events)
        case .socket(.acceptEach(let socket, let flags)):
            .socket(.accept(socket, address: nil, count: nil, flags: flags))
        default: self
        }
    }
}
