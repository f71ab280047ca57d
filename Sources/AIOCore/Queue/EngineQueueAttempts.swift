internal import CKernel

/// Interprets the results of engines, and retries.
extension EngineQueue {
    /// Decides whether a completion of the engine ends its operation or leads to another attempt.
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
            // EINTR: the kernel interrupted a worker for the cancel. An operation that is still not ready ends here as
            // well.
            let isInterrupted = wasAwaiting || completion.result == -EINTR || operation.waits(after: completion.result)
            return finish(token, isInterrupted ? -ECANCELED : result(completion), completion.flags)
        }
        if wasAwaiting, completion.result >= 0 {
            return attemptReady(operation, token)
        }
        guard operation.waits(after: completion.result) else { return retryUnlessFinal(completion, slot) }
        guard let readiness = operation.readiness(after: completion.result) else { return pause(token) }
        // The file has O_NONBLOCK, the device was busy, or a worker did not wait: poll, then retry.
        table.setAwaitingReadiness(token, true)
        hasStagedAgain = true
        engine.stage(readiness, token)
    }

    /// After a result that is not about readiness: retries the operation unchanged or in another form, or ends it.
    private mutating func retryUnlessFinal(
        _ completion: Completion, _ slot: UnsafeMutablePointer<InFlightTable.Slot>
    ) {
        let token = completion.token
        let operation = slot.pointee.operation
        switch completion.result {
        case -EAGAIN:
            guard let transfer = operation.transfer else { break }
            return finish(token, refusal(transfer), completion.flags)
        case -ESPIPE:
            // Some files take no offset without looking like a stream: an unclassified socket, writable files of
            // procfs.
            guard let transfer = operation.transfer, transfer.offset >= 0 else { break }
            slot.pointee.operation = .transfer(transfer.atCurrentPosition)
            return stageAgain(slot.pointee.operation, token)
        case -EINVAL:
            if isForTheCallToSay(completion, operation) {
                hasStagedAgain = true
                return engine.stageWithWorker(operation, token)
            }
            // The program may have set O_DIRECT since the submission: a worker checks that.
            guard var transfer = operation.transfer, transfer.mayHaveBecomeDirect else { break }
            transfer.form.insert(.throughPageCache)
            slot.pointee.operation = .transfer(transfer)
            return stageAgain(slot.pointee.operation, token)
        case -EOPNOTSUPP:
            if let plain = operation.transfer?.withoutAppendFlags {
                slot.pointee.operation = .transfer(plain)
                return stageAgain(slot.pointee.operation, token)
            }
            // Not every socket type supports zero-copy sends.
            guard case .socket(.sendZeroCopy(let socket, let bytes, let count, let flags)) = operation else { break }
            slot.pointee.operation = .socket(.send(socket, bytes, count: count, flags: flags))
            return stageAgain(slot.pointee.operation, token)
        case -EINTR where operation.traits.restartsAfterInterrupt:
            return stageAgain(operation, token)
        case -EINTR where operation.isRelease:
            // Not retried: the descriptor is closed despite EINTR, and its number may already belong to another file.
            break
        case -ECANCELED, -EFAULT, -EINTR:
            // No cancel was requested: the submitting thread exited, and the kernel dropped what it had not executed.
            // This thread submits the operation again.
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

    /// Whether the kernel may have failed to create an io-wq worker, in which case it cancels the operation without
    /// further indication. A pool worker then tries once.
    private func isForWantOfThread(_ completion: Completion, _ operation: Operation) -> Bool {
        completion.result == -ECANCELED && engine.kind == .ioUring && !completion.flags.contains(.usedWorker)
            && operation.traits.isForAnyWorker
    }

    /// Whether a ring refused a direct write: it refuses one that would end beyond 2^63, where pwrite(2) writes what
    /// fits.
    private func isForTheCallToSay(_ completion: Completion, _ operation: Operation) -> Bool {
        guard engine.kind == .ioUring, !completion.flags.contains(.usedWorker), let transfer = operation.transfer
        else { return false }
        return transfer.isWrite && transfer.descriptor.kind == .direct && !transfer.descriptor.isRegistered
    }

    private func result(_ completion: Completion) -> Int32 {
        Int(completion.result) == Splice.outputIsFull ? -EAGAIN : completion.result
    }

    /// Retries once the descriptor is ready. A ring can return EAGAIN persistently: for a file with O_NONBLOCK that
    /// does not support RWF_NOWAIT (/dev/full), and for a direct write from unmapped memory at the end of a file on
    /// XFS. The retry is therefore a plain system call, on a worker for regular files, which always poll as ready and
    /// may block.
    private mutating func attemptReady(_ operation: Operation, _ token: Token) {
        guard engine.kind == .ioUring, !table[token].pointee.isInSteps, let transfer = operation.transfer,
            !transfer.descriptor.isRegistered
        else { return stageAgain(operation, token, isReady: true) }
        guard transfer.descriptor.kind == .stream else {
            hasStagedAgain = true
            return engine.stageWithWorker(operation, token)
        }
        switch StreamAttempt(transfer) {
        case .done(let result): settle(Completion(token, result: Int32(truncatingIfNeeded: result)))
        case .notReady: settle(Completion(token, result: -EAGAIN))
        case .needsWorker:
            hasStagedAgain = true
            engine.stageWithWorker(operation, token)
        }
    }

    /// Schedules a retry after `pauseTime`.
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

    /// The system call's result, for a non-blocking transfer that a ring ended with EAGAIN: a ring also returns EAGAIN
    /// where a file does not support RWF_NOWAIT, for which the system call returns EOPNOTSUPP.
    private func refusal(_ transfer: Transfer) -> Int32 {
        guard engine.kind == .ioUring, !transfer.descriptor.isRegistered else { return -EAGAIN }
        let result = transfer.attempt()
        // An unclassified stream takes no offset. The engine handles that, so its EAGAIN stands.
        return result == -Int(ESPIPE) ? -EAGAIN : Int32(truncatingIfNeeded: result)
    }

    mutating func stageAgain(_ operation: Operation, _ token: Token, isReady: Bool = false) {
        hasStagedAgain = true
        if table[token].pointee.isInSteps { return step(token, isReady: isReady) }
        engine.stage(operation, token)
    }
}

extension Operation {
    /// Whether this result means that the operation would block, and the caller wants it to wait.
    fileprivate func waits(after result: Int32) -> Bool {
        guard !traits.isWithoutWaiting else { return false }
        return result == -EAGAIN && isPacedByTime || readiness(after: result) != nil
    }
}
