internal import CKernel

/// What an engine's completion means: the end of its operation, or another attempt.
extension EngineQueue {
    /// Decides what an engine's completion means: the operation's end, or another attempt.
    @inline(__always)
    mutating func settle(_ completion: Completion) {
        guard let slot = table.find(completion.token) else { return }
        if slot.pointee.state == .submitted, completion.result >= 0 {
            return finish(completion.token, completion.result, completion.flags)
        }
        retry(completion, slot)
    }

    private mutating func retry(_ completion: Completion, _ slot: UnsafeMutablePointer<InFlightTable.Slot>) {
        let token = completion.token
        let operation = slot.pointee.operation
        if slot.pointee.state == .stepping {
            if completion.result <= 0 { giveBackBuffer(slot) }
            if completion.result >= 0 { return endStep(completion, slot) }
        }
        if slot.pointee.state == .writing, completion.result >= 0 { return continueWrite(completion, slot) }
        let wasAwaiting = slot.pointee.state == .awaitingReadiness
        if wasAwaiting { table.setAwaitingReadiness(token, false) }
        if slot.pointee.isCancelRequested {
            // The kernel interrupts one of its workers; and what was not ready yet is not waited for.
            let isInterrupted = wasAwaiting || completion.result == -EINTR || operation.waits(after: completion.result)
            return finish(token, isInterrupted ? -ECANCELED : result(completion), completion.flags)
        }
        if wasAwaiting, completion.result >= 0 {
            return attemptReady(operation, token)
        }
        guard operation.waits(after: completion.result) else { return retryUnlessFinal(completion, slot) }
        guard let readiness = operation.readiness(after: completion.result) else { return pause(token) }
        // O_NONBLOCK, or a device that was busy, or a worker that does not wait: wait until the descriptor is ready,
        // then try again.
        table.setAwaitingReadiness(token, true)
        hasStagedAgain = true
        engine.stage(readiness, token)
    }

    /// After what is no matter of waiting: the operation in another form, or once more, or its end.
    private mutating func retryUnlessFinal(
        _ completion: Completion, _ slot: UnsafeMutablePointer<InFlightTable.Slot>
    ) {
        let token = completion.token
        let operation = slot.pointee.operation
        switch completion.result {
        case -EAGAIN:
            guard let (transfer, _) = operation.transfer else { break }
            return finish(token, refusal(operation, transfer), completion.flags)
        case -ESPIPE:
            // Some files take no offset and do not look it: a socket that nobody classified, what procfs lets write.
            guard let (transfer, _) = operation.transfer, transfer.offset >= 0 else { break }
            slot.pointee.operation = operation.atCurrentPosition
            return stageAgain(slot.pointee.operation, token)
        case -EINVAL:
            if isForTheCallToSay(completion, operation) {
                hasStagedAgain = true
                return engine.stageWithWorker(operation, token)
            }
            // Somebody has set O_DIRECT since: a worker looks whether that is why.
            guard var (transfer, _) = operation.transfer, transfer.mayHaveBecomeDirect else { break }
            transfer.flags.insert(.throughPageCache)
            slot.pointee.operation = operation.with(transfer)
            return stageAgain(slot.pointee.operation, token)
        case -EOPNOTSUPP:
            if let plain = operation.transfer?.transfer.withoutAppendFlags {
                slot.pointee.operation = operation.with(plain)
                return stageAgain(slot.pointee.operation, token)
            }
            // Not every kind of socket sends from the caller's memory.
            guard case .socket(.sendZeroCopy(let socket, let bytes, let count, let flags)) = operation else { break }
            slot.pointee.operation = .socket(.send(socket, bytes, count: count, flags: flags))
            return stageAgain(slot.pointee.operation, token)
        case -EINTR where operation.mayBeInterrupted:
            return stageAgain(operation, token)
        case -EINTR where operation.isRelease:
            // The descriptor is gone all the same, and its number may be another file's by now.
            break
        case -ECANCELED, -EFAULT, -EINTR:
            // Nobody asked for it. The thread that submitted it has exited, and the kernel with it dropped what it
            // had not done; the operation is still wanted, and this thread submits it again.
            guard slot.pointee.issuerChanges != issuerChanges else {
                guard isForWantOfThread(completion, operation) else { break }
                hasStagedAgain = true
                return engine.stageWithWorker(operation, token)
            }
            slot.pointee.issuerChanges = issuerChanges
            return stageAgain(operation, token)
        default:
            break
        }
        finish(token, result(completion), completion.flags)
    }

    /// Whether the kernel may have found no thread for one of its workers, and so took the operation back: that is all it
    /// says then. A worker of ours tries it once.
    private func isForWantOfThread(_ completion: Completion, _ operation: Operation) -> Bool {
        completion.result == -ECANCELED && engine.kind == .ioUring && !completion.flags.contains(.usedWorker)
            && operation.isWorkForAnyWorker
    }

    /// Whether a ring has refused a direct write: what would end beyond 2^63 it refuses where pwrite(2) writes what fits.
    private func isForTheCallToSay(_ completion: Completion, _ operation: Operation) -> Bool {
        guard engine.kind == .ioUring, !completion.flags.contains(.usedWorker),
            let (transfer, isWrite) = operation.transfer
        else { return false }
        return isWrite && transfer.descriptor.kind == .direct && !transfer.descriptor.isRegistered
    }

    private func result(_ completion: Completion) -> Int32 {
        Int(completion.result) == Splice.outputIsFull ? -EAGAIN : completion.result
    }

    /// The descriptor has become ready. A ring may go on returning EAGAIN all the same: for a file that is open with
    /// O_NONBLOCK and does not support RWF_NOWAIT (/dev/full), and for a direct write from unmapped memory to the end of a file
    /// on XFS. So the next attempt is the system call itself. A regular file is always ready, and may block: a worker makes it.
    private mutating func attemptReady(_ operation: Operation, _ token: Token) {
        guard engine.kind == .ioUring, !table[token].pointee.isInSteps, let (transfer, isWrite) = operation.transfer,
            !transfer.descriptor.isRegistered
        else { return stageAgain(operation, token, isReady: true) }
        guard transfer.descriptor.kind == .stream else {
            hasStagedAgain = true
            return engine.stageWithWorker(operation, token)
        }
        switch StreamAttempt(operation, transfer, isWrite: isWrite) {
        case .done(let result): settle(Completion(token, result: Int32(truncatingIfNeeded: result)))
        case .notReady: settle(Completion(token, result: -EAGAIN))
        case .needsWorker:
            hasStagedAgain = true
            engine.stageWithWorker(operation, token)
        }
    }

    /// Tries again a little later.
    private mutating func pause(_ token: Token) {
        table.setPausing(token, true)
        deadlines.remove(token.slot)
        deadlines.insert(token.slot, min(table[token].pointee.deadline, Kernel.now() &+ Self.pauseTime))
    }

    private static var pauseTime: Nanoseconds { 1_000_000 }

    mutating func endPause(_ token: Token) {
        table.setPausing(token, false)
        let slot = table[token]
        if slot.pointee.deadline != .never { deadlines.insert(token.slot, slot.pointee.deadline) }
        stageAgain(slot.pointee.operation, token)
    }

    /// What the system call says where the engine said EAGAIN and the caller wants no waiting: io_uring says so too of
    /// a file that cannot tell, which is EOPNOTSUPP.
    private func refusal(_ operation: Operation, _ transfer: Transfer) -> Int32 {
        guard engine.kind == .ioUring, !transfer.descriptor.isRegistered else { return -EAGAIN }
        let result = operation.attempt(transfer, flags: transfer.flags.kernelFlags)
        // A stream that nobody classified takes no offset; the engine, which heeds that, has said what there is to say.
        return result == -Int(ESPIPE) ? -EAGAIN : Int32(truncatingIfNeeded: result)
    }

    mutating func stageAgain(_ operation: Operation, _ token: Token, isReady: Bool = false) {
        hasStagedAgain = true
        if table[token].pointee.isInSteps { return step(token, isReady: isReady) }
        engine.stage(operation, token)
    }
}

extension Operation {
    /// Whether this result says that it has to wait, and it wants to.
    fileprivate func waits(after result: Int32) -> Bool {
        guard !isWithoutWaiting else { return false }
        return result == -EAGAIN && isPacedByTime || readiness(after: result) != nil
    }

    /// Whether it did nothing if it says EINTR: the submitting thread had a signal or task work pending.
    fileprivate var mayBeInterrupted: Bool {
        if case .socket = self { return true }
        return transfer != nil
    }
}
