import AIOCore
import CKernel

/// What must become of an operation after a completion of the engine.
extension Simulation {
    func react(_ place: Place, _ result: Int32, _ flags: CompletionFlags) {
        let wasPoll = place.pointee.form == .pollIn || place.pointee.form == .pollOut
        let facts = place.pointee.facts
        if result >= 0, !wasPoll {
            if facts.contains(.whole) { return reactToWholeWrite(place, Int(result), flags) }
            if facts.contains(.steps) { return reactToStep(place, result, flags) }
            return finish(place, result, flags)
        }
        if !wasPoll { returnBuffer(place) }
        if place.pointee.isCancelAsked {
            let isInterrupted = wasPoll || result == -EINTR || waits(place, result)
            return finish(place, isInterrupted ? -ECANCELED : visible(result), flags)
        }
        if wasPoll, result >= 0 { return tryAgainWhenReady(place) }
        if wasPoll, result == -EINTR { return stageAgain(place, isReady: false) }
        if waits(place, result) { return awaitReadiness(place, result) }
        reactToError(place, result, flags)
    }

    private func reactToWholeWrite(_ place: Place, _ count: Int, _ flags: CompletionFlags) {
        place.pointee.progress += count
        let isOver = count == 0 || place.pointee.isCancelAsked || place.pointee.progress == place.pointee.total
        if isOver { return finish(place, Int32(place.pointee.progress), flags) }
        place.pointee.form = .own
        place.pointee.phase = .awaitingStage
    }

    private func reactToStep(_ place: Place, _ result: Int32, _ flags: CompletionFlags) {
        var flags = flags
        if place.pointee.has(.buffered) {
            if result == 0 {
                returnBuffer(place)
                return finish(place, 0, flags)
            }
            let buffer = UInt32(place.pointee.buffer)
            flags = CompletionFlags(
                rawValue: flags.rawValue & 0xffff | CompletionFlags.hasBuffer.rawValue | buffer << 16)
            place.pointee.buffer = -1
        }
        guard place.pointee.has(.repeating) else { return finish(place, result, flags) }
        coverage.repeated += 1
        ready(place, .more, result, flags.union(.more))
    }

    /// The buffer of a step that received nothing is free again.
    private func returnBuffer(_ place: Place) {
        guard place.pointee.buffer >= 0 else { return }
        groups[Int(place.pointee.group)].freeCount += 1
        groups[Int(place.pointee.group)].isOut &= ~(1 << UInt32(place.pointee.buffer))
        place.pointee.buffer = -1
    }

    /// Whether the result means that it would block, and that the caller wants to wait.
    private func waits(_ place: Place, _ result: Int32) -> Bool {
        guard !place.pointee.isWithoutWaiting else { return false }
        return result == -EAGAIN && place.pointee.has(.paced) || pollForm(place, result) != nil
    }

    private func pollForm(_ place: Place, _ result: Int32) -> SimulatedOperation.Form? {
        let facts = place.pointee.facts
        if facts.contains(.splices) {
            return result == -EAGAIN ? .pollIn : result == -4096 - EAGAIN ? .pollOut : nil
        }
        if facts.contains(.connects) { return result == -EINPROGRESS || result == -EALREADY ? .pollOut : nil }
        guard result == -EAGAIN else { return nil }
        return facts.contains(.input) ? .pollIn : facts.contains(.output) ? .pollOut : nil
    }

    private func awaitReadiness(_ place: Place, _ result: Int32) {
        coverage.retried += 1
        if let form = pollForm(place, result), result != -EAGAIN || !place.pointee.has(.paced) {
            place.pointee.form = form
            place.pointee.phase = .awaitingStage
        } else {
            coverage.pauses += 1
            place.pointee.phase = .pausing
            place.pointee.pauseEnd = now + 1_000_000
        }
    }

    private func tryAgainWhenReady(_ place: Place) {
        let isOfRing = kind == .ioUring && place.pointee.has(.transfer) && !place.pointee.isRegistered
        guard isOfRing else { return stageAgain(place, isReady: true) }
        guard place.pointee.has(.stream) else { return stageWithWorker(place) }
        place.pointee.phase = .attempting
    }

    /// It is staged once more; a receive needs a buffer for that.
    func stageAgain(_ place: Place, isReady: Bool) {
        place.pointee.form = .own
        place.pointee.phase = .awaitingStage
        guard place.pointee.has(.buffered) else { return }
        guard groups.exists(place.pointee.group) else { return finish(place, -EINVAL, []) }
        if groups[Int(place.pointee.group)].freeCount > 0 {
            groups[Int(place.pointee.group)].freeCount -= 1
        } else if isReady || place.pointee.isWithoutWaiting {
            finish(place, -ENOBUFS, [])
        } else {
            place.pointee.form = .pollIn
        }
    }

    func stageWithWorker(_ place: Place) {
        place.pointee.form = .worker
        place.pointee.phase = .awaitingStage
    }

    private func reactToError(_ place: Place, _ result: Int32, _ flags: CompletionFlags) {
        let facts = place.pointee.facts
        let isFirstOfRing = kind == .ioUring && !flags.contains(.usedWorker)
        switch result {
        case -EAGAIN where facts.contains(.transfer):
            guard kind == .ioUring, !place.pointee.isRegistered else { return finish(place, result, flags) }
            place.pointee.attemptFlags = flags
            place.pointee.phase = .attempting
        case -ESPIPE where facts.contains(.transfer) && place.pointee.hasOffset:
            place.pointee.hasOffset = false
            stageAgain(place, isReady: false)
        case -EINVAL where isFirstOfRing && place.pointee.kind == .writeDirect && !place.pointee.isRegistered:
            stageWithWorker(place)
        case -EINVAL where mayHaveBecomeDirect(place):
            place.pointee.isThroughPageCache = true
            stageAgain(place, isReady: false)
        case -EOPNOTSUPP where place.pointee.dropsAppendFlags:
            place.pointee.dropsAppendFlags = false
            stageAgain(place, isReady: false)
        case -EOPNOTSUPP where place.pointee.isZeroCopy:
            place.pointee.isZeroCopy = false
            stageAgain(place, isReady: false)
        case -EINTR where facts.contains(.restarts): stageAgain(place, isReady: false)
        case -EINTR where facts.contains(.release): finish(place, result, flags)
        case -ECANCELED, -EFAULT, -EINTR:
            // Its caller must not learn of it.
            check(!place.pointee.isDropped || place.pointee.epoch != epoch, "\(name(place)) is not staged again")
            if place.pointee.epoch != epoch {
                coverage.dropped += 1
                place.pointee.epoch = epoch
                stageAgain(place, isReady: false)
            } else if result == -ECANCELED, isFirstOfRing, facts.contains(.worker) {
                stageWithWorker(place)
            } else {
                finish(place, result, flags)
            }
        default: finish(place, visible(result), flags)
        }
    }

    private func mayHaveBecomeDirect(_ place: Place) -> Bool {
        let isBuffered =
            place.pointee.has(.transfer) && !place.pointee.has(.stream) && place.pointee.kind != .readDirect
            && place.pointee.kind != .writeDirect
        return isBuffered && !place.pointee.isRegistered && !place.pointee.isThroughPageCache
            && SimulatedDescriptors.hasBecomeDirect(place.pointee.descriptor)
    }

    private func visible(_ result: Int32) -> Int32 { result == -4096 - EAGAIN ? -EAGAIN : result }

    // MARK: Attempts by system call

    func attemptEnded(_ place: Place, _ result: Int32) {
        coverage.attempts += 1
        let isRefusal = place.pointee.form == .own || place.pointee.form == .worker
        place.pointee.form = .own
        let flags = place.pointee.attemptFlags
        if isRefusal { return finish(place, result == -ESPIPE ? -EAGAIN : result, flags) }
        react(place, result, [])
    }

    // MARK: Ready

    /// The last completion.
    func finish(_ place: Place, _ result: Int32, _ flags: CompletionFlags) {
        var result = result
        if place.pointee.progress > 0, result < 0 { result = Int32(place.pointee.progress) }
        ready(place, .final, result, flags)
    }

    func ready(
        _ place: Place, _ phase: SimulatedOperation.Phase, _ result: Int32, _ flags: CompletionFlags
    ) {
        var expected = SimulatedOperation.Expected(result: result, flags: flags)
        if result > 0, place.pointee.has(.polls) {
            expected.result &= Int32(place.pointee.events | CK_POLLERR | CK_POLLHUP | CK_POLLNVAL)
        }
        if place.pointee.isDeadlinePassed, result == -ECANCELED { expected.flags.insert(.deadlinePassed) }
        if place.pointee.expectedCount == 0 { place.pointee.first = expected } else { place.pointee.second = expected }
        place.pointee.expectedCount += 1
        check(place.pointee.expectedCount <= 2, "\(name(place)) has three completions at once")
        place.pointee.phase = phase
        readyCount += 1
    }
}
