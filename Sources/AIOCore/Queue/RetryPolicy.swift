internal import CKernel

/// Decides what becomes of an operation for which its engine reports anything but success.
///
/// After readiness, and after EAGAIN of a non-blocking transfer, a decision may take a system call on this thread,
/// which does not block.
struct RetryPolicy: BitwiseCopyable {
    /// Whether the engine is a ring, some of whose results are not those of the system call.
    private let isRing: Bool

    init(_ engine: EngineKind) { isRing = engine == .ioUring }

    /// `wasAwaiting`: the completion is that of a poll. `issuerChanges`: the queue's present count.
    func decide(
        _ completion: Completion, _ slot: InFlightTable.Slot, wasAwaiting: Bool, issuerChanges: UInt32
    ) -> Decision {
        let operation = slot.operation
        if slot.isCancelRequested {
            // EINTR: the kernel interrupted a worker for the cancel. An operation that is still not ready ends here as
            // well.
            let isInterrupted = wasAwaiting || completion.result == -EINTR || operation.waits(after: completion.result)
            return .finish(isInterrupted ? -ECANCELED : result(completion), completion.flags)
        }
        if wasAwaiting, completion.result >= 0 { return afterReadiness(slot) }
        // The poll was interrupted, of which the caller knows nothing.
        if wasAwaiting, completion.result == -EINTR { return .stageAgain(operation) }
        guard operation.waits(after: completion.result) else {
            return afterError(completion, operation, isDropped: slot.issuerChanges != issuerChanges)
        }
        // A datagram socket is writable although the receiver is full (unix_dgram_poll): a poll would return at once.
        if completion.result == -EAGAIN, operation.isPacedByTime { return .pause }
        // The file has O_NONBLOCK, the device was busy, or a worker did not wait.
        return operation.readiness(after: completion.result).map { .awaitReadiness($0) } ?? .pause
    }

    /// Retries once the descriptor is ready. A ring can return EAGAIN persistently: for a file with O_NONBLOCK that
    /// does not support RWF_NOWAIT (/dev/full), and for a direct write from unmapped memory at the end of a file on
    /// XFS. The retry is therefore a plain system call, on a worker for regular files, which always poll as ready and
    /// may block.
    private func afterReadiness(_ slot: InFlightTable.Slot) -> Decision {
        guard isRing, !slot.isInSteps, let transfer = slot.operation.transfer, !transfer.descriptor.isRegistered
        else { return .stageAgain(slot.operation, isReady: true) }
        guard transfer.descriptor.kind == .stream else { return .stageWithWorker }
        switch StreamAttempt(transfer) {
        case .done(let result): return .judge(Int32(truncatingIfNeeded: result))
        case .notReady: return .judge(-EAGAIN)
        case .needsWorker: return .stageWithWorker
        }
    }

    /// After a result that is not about readiness: the operation unchanged or in another form, or its end.
    private func afterError(_ completion: Completion, _ operation: Operation, isDropped: Bool) -> Decision {
        switch completion.result {
        case -EAGAIN:
            if let transfer = operation.transfer { return .finish(refusal(transfer), completion.flags) }
        case -ESPIPE:
            // Some files take no offset without looking like a stream: an unclassified socket, writable files of
            // procfs.
            if let transfer = operation.transfer, transfer.offset >= 0 {
                return .stageAgain(.transfer(transfer.atCurrentPosition))
            }
        case -EINVAL:
            if isForTheCallToSay(completion, operation) { return .stageWithWorker }
            // The program may have set O_DIRECT since the submission: a worker checks that.
            if var transfer = operation.transfer, transfer.mayHaveBecomeDirect {
                transfer.form.insert(.throughPageCache)
                return .stageAgain(.transfer(transfer))
            }
        case -EOPNOTSUPP:
            if let plain = operation.transfer?.withoutAppendFlags {
                return .stageAgain(.transfer(plain))
            }
            // Not every socket type supports zero-copy sends.
            if case .socket(.sendZeroCopy(let socket, let bytes, let count, let flags)) = operation {
                return .stageAgain(.socket(.send(socket, bytes, count: count, flags: flags)))
            }
        case -EINTR where operation.traits.restartsAfterInterrupt:
            return .stageAgain(operation)
        case -EINTR where operation.isRelease:
            // Not retried: the descriptor is closed despite EINTR, and its number may already belong to another file.
            break
        case -ECANCELED, -EFAULT, -EINTR:
            // No cancel was requested: the submitting thread exited, and the kernel dropped what it had not executed.
            if isDropped { return .stageDropped }
            if isForWantOfThread(completion, operation) { return .stageWithWorker }
        default:
            break
        }
        return .finish(result(completion), completion.flags)
    }

    /// Whether the kernel may have failed to create an io-wq worker, in which case it cancels the operation without
    /// further indication. A pool worker then tries once.
    private func isForWantOfThread(_ completion: Completion, _ operation: Operation) -> Bool {
        completion.result == -ECANCELED && isRing && !completion.flags.contains(.usedWorker)
            && operation.traits.isForAnyWorker
    }

    /// Whether a ring refused a direct write: it refuses one that would end beyond 2^63, where pwrite(2) writes what
    /// fits.
    private func isForTheCallToSay(_ completion: Completion, _ operation: Operation) -> Bool {
        guard isRing, !completion.flags.contains(.usedWorker), let transfer = operation.transfer else { return false }
        return transfer.isWrite && transfer.descriptor.kind == .direct && !transfer.descriptor.isRegistered
    }

    /// The system call's result, for a non-blocking transfer that a ring ended with EAGAIN: a ring also returns EAGAIN
    /// where a file does not support RWF_NOWAIT, for which the system call returns EOPNOTSUPP.
    private func refusal(_ transfer: Transfer) -> Int32 {
        guard isRing, !transfer.descriptor.isRegistered else { return -EAGAIN }
        let result = transfer.attempt()
        // An unclassified stream takes no offset. The engine handles that, so its EAGAIN stands.
        return result == -Int(ESPIPE) ? -EAGAIN : Int32(truncatingIfNeeded: result)
    }

    private func result(_ completion: Completion) -> Int32 {
        Int(completion.result) == Splice.outputIsFull ? -EAGAIN : completion.result
    }
}

extension Operation {
    /// Whether this result means that the operation would block, and the caller wants it to wait.
    fileprivate func waits(after result: Int32) -> Bool {
        guard !traits.isWithoutWaiting else { return false }
        return result == -EAGAIN && isPacedByTime || readiness(after: result) != nil
    }
}
