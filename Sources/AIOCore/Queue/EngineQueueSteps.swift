internal import CKernel

/// Repeating operations, and receives that take their buffer late. Engines support neither: they execute single steps.
///
/// A step that does not end the operation is delivered with `CompletionFlags.more`, and the next step starts when that
/// completion is drained. This is backpressure: an operation has at most one undrained completion, so the slots of the
/// in-flight table bound them all. A ring's multishot operations would save a submission entry per completion, but they
/// are unbounded: undrained completions fill the completion ring and terminate the operation. Multishot polls are also
/// edge-triggered, so data left unread would never be reported again.
extension EngineQueue {
    /// Starts the first step.
    mutating func stageSteps(_ token: Token) {
        table.setStepping(token)
        let deadline = table[token].pointee.deadline
        if deadline != .never { deadlines.insert(token.slot, deadline) }
        step(token, isReady: false)
    }

    /// Stages the next step. `isReady`: the descriptor was polled readable.
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
            // A non-blocking receive gets data that is already there; without data it does not retain the buffer.
            engine.stage(.socket(.receive(socket, base, count: count, flags: flags | CK_MSG_DONTWAIT)), token)
        }
    }

    /// Returns the buffer of a step that received nothing.
    mutating func giveBackBuffer(_ slot: UnsafeMutablePointer<InFlightTable.Slot>) {
        guard slot.pointee.hasBuffer, case .socket(.receiveBuffered(_, let group, _, _)) = slot.pointee.operation
        else { return }
        slot.pointee.hasBuffer = false
        _ = groups.provide(Int(group), Int(slot.pointee.buffer))
    }

    /// Handles the result of a step: the operation's end, or one of its completions.
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

    /// Continues after one of the operation's completions was drained.
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

    mutating func stageTimer(_ token: Token) {
        let slot = table[token]
        switch slot.pointee.operation {
        case .timeout(let deadline):
            slot.pointee.deadline = min(deadline, slot.pointee.deadline)
            deadlines.insert(token.slot, slot.pointee.deadline)
        case .repeatingTimeout(let first, let interval) where interval > 0:
            table.setStepping(token)
            deadlines.insert(token.slot, min(first, slot.pointee.deadline))
        // An interval of zero. No other operation has the handling `timer`.
        default: finish(token, -EINVAL, [])
        }
    }

    /// A repeating timer is due, or its deadline has passed.
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
    /// Whether the operation continues after this result, which is not an error.
    fileprivate func goesOn(after result: Int32) -> Bool {
        if case .socket(.receiveBuffered) = self, result == 0 { return false }
        return isRepeating
    }

    /// The operation that the engine executes as one step.
    fileprivate var oneStep: Operation {
        switch self {
        case .pollEach(let descriptor, let events): .poll(descriptor, events: events)
        case .socket(.acceptEach(let socket, let flags)):
            .socket(.accept(socket, address: nil, count: nil, flags: flags))
        default: self
        }
    }
}
