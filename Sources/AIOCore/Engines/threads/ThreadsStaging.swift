internal import CKernel

/// What `threads` does with an operation that no service has taken: it executes it at once, lets it wait in the poll
/// set, or sends it to a worker.
extension ThreadsEngine {
    /// For an operation whose descriptor is a number of known kind.
    mutating func stage(admitted operation: Operation, _ token: Token) {
        switch operation {
        case .nop: outlets.complete(token, 0)
        case .poll(let descriptor, let events): wait(operation, token, descriptor, .polling, events)
        case .transfer(let transfer): stage(transfer, operation, token)
        case .socket(let call): stage(call, operation, token)
        case .waitForChild(let child, _, _): tryOrWait(operation, token, child, .reading)
        default: outlets.sendToWorker(operation, token)
        }
    }

    // MARK: Transfers

    private mutating func stage(_ transfer: Transfer, _ operation: Operation, _ token: Token) {
        switch transfer.descriptor.kind {
        case .stream: stageOnStream(transfer, operation, token)
        case .buffered where !transfer.isWrite: stageRead(transfer, operation, token)
        default: outlets.sendToWorker(operation, token)
        }
    }

    private mutating func stageOnStream(_ transfer: Transfer, _ operation: Operation, _ token: Token) {
        let interest: Interest = transfer.isWrite ? .writing : .reading
        // FIFO order: earlier waiters go first.
        guard !pollSet.hasWaiters(transfer.descriptor.number, interest) || transfer.flags.contains(.noWait) else {
            return wait(operation, token, transfer.descriptor, interest, 0)
        }
        settle(StreamAttempt(transfer), operation, token, transfer.descriptor, interest)
    }

    /// A buffered read: from the page cache, or by a service, or by a worker.
    private mutating func stageRead(_ transfer: Transfer, _ operation: Operation, _ token: Token) {
        if case .done(let result)? = ask(transfer) { return outlets.complete(token, result) }
        guard readahead != nil, ReadaheadService.takes(transfer) else { return outlets.sendToWorker(operation, token) }
        readahead?.add(operation, token)
    }

    /// nil if the page cache is not asked.
    private func ask(_ transfer: Transfer) -> Answer? {
        // The attempt is the whole operation if the transfer must not wait, so no guess may skip it.
        guard transfer.flags.contains(.noWait) else { return guesses.ask(transfer) }
        return transfer.mayBeAsked() ? transfer.ask() : nil
    }

    // MARK: Sockets and children

    private mutating func stage(_ call: SocketCall, _ operation: Operation, _ token: Token) {
        // Looking up a path in a file system may block.
        guard !call.isForWorker else { return outlets.sendToWorker(operation, token) }
        let traits = call.traits
        guard let interest = traits.interest, let descriptor = traits.descriptor else {
            return outlets.complete(token, call.attempt())
        }
        tryOrWait(operation, token, descriptor, interest)
    }

    /// For operations that wait for readiness, other than transfers.
    private mutating func tryOrWait(
        _ operation: Operation, _ token: Token, _ descriptor: Descriptor, _ interest: Interest
    ) {
        // FIFO order: earlier waiters go first. A connect is exempt, since no operation can make progress before it.
        guard mayTry(operation, descriptor, interest) || operation.traits.isWithoutWaiting || operation.isConnect else {
            return wait(operation, token, descriptor, interest, 0)
        }
        settle(operation.attemptWaiting(isBegun: false), operation, token, descriptor, interest)
    }

    // Inlined: a call would pass a copy of the whole engine.
    @inline(__always)
    private func mayTry(_ operation: Operation, _ descriptor: Descriptor, _ interest: Interest) -> Bool {
        if case .socket(let call) = operation, call.waitsFirst { return false }
        return !pollSet.hasWaiters(descriptor.number, interest)
    }

    // MARK: After the first attempt

    private mutating func settle(
        _ attempt: StreamAttempt, _ operation: Operation, _ token: Token, _ descriptor: Descriptor,
        _ interest: Interest
    ) {
        switch attempt {
        case .done(let result): outlets.complete(token, result)
        case .notReady: wait(operation, token, descriptor, interest, 0)
        case .needsWorker:
            pollSet.addWithWorker(operation, token, descriptor.number, interest)
            outlets.sendToWorker(operation, token)
        }
    }

    private mutating func wait(
        _ operation: Operation, _ token: Token, _ descriptor: Descriptor, _ interest: Interest,
        _ events: UInt32
    ) {
        let result = pollSet.add(operation, token, descriptor.number, interest, completed: &outlets.completed)
        guard result < 0 else { return }
        guard result == -Int(EPERM) else { return outlets.complete(token, result) }
        // epoll refuses files that are always ready (EPERM).
        if interest == .polling {
            outlets.complete(token, Int(events & (CK_POLLIN | CK_POLLOUT | CK_POLLRDNORM | CK_POLLWRNORM)))
        } else {
            outlets.sendToWorker(operation, token)
        }
    }
}
