import AIOCore
import CKernel

/// What the engine does by itself: it completes what it has, in any order, and in any way that the contract allows.
extension Simulation {
    func engineEnter(atLeast count: Int, until deadline: Nanoseconds) {
        noteEntry(count, deadline)
        for slot in active { places[Int(slot)].isEntered = true }
        unenteredCount = 0
        stagedByCallerCount = 0
        let isFirst = call.isBeforeCollecting || call.kind == .drain && call.entries == 1
        call.isBeforeCollecting = false
        if count == 0 {
            // Time passes in the first entry alone: the model takes the last reading of the clock in a call as that of
            // its deadlines.
            if isFirst, random.isOne(in: 4) { now += random.nanoseconds(below: 2_000) }
            return completeSome()
        }
        waitForSome(count, until: deadline)
    }

    func completeSome() {
        var left = active.count
        while left > 0, random.below(16) < eagerness {
            completeAny()
            left -= 1
        }
    }

    private func waitForSome(_ count: Int, until deadline: Nanoseconds) {
        let start = now
        defer {
            tell("  engine: slept \(now - start) ns, \(completions.count) completions")
            if pace.isHolding { pace.noteSleep(now - start) }
        }
        check(!(owesWake && !isWoken && call.kind == .turnUntil), "a wake-up is lost")
        while true {
            if completions.count >= count { return }
            if isWoken {
                isWoken = false
                owesWake = false
                return
            }
            if now >= deadline { return }
            switch random.below(8) {
            case 0 where !isQuiet: return
            case 1 where random.isOne(in: 2): wakeFromElsewhere()
            // Any thread may prepare.
            case 1 where !isQuiet: prepare(chooseKind())
            case 2, 3:
                // Not to the end of time, where nobody can add to the clock.
                guard deadline - now < 1 << 50 else { continue }
                now = deadline
                if random.isOne(in: 4) { now += random.nanoseconds(below: 100_000) }
            default:
                pass(until: deadline)
                if active.isEmpty, deadline - now >= 1 << 50 { wakeFromElsewhere() } else { completeAny() }
            }
        }
    }

    private func pass(until deadline: Nanoseconds) {
        guard now < deadline else { return }
        now += random.nanoseconds(below: min(deadline - now, 40_000)) + 1
        if now > deadline { now = deadline }
    }

    /// Another thread wakes the queue.
    func wakeFromElsewhere() {
        tell("  another thread: wake")
        coverage.wakes += 1
        owesWake = true
        queue.pointee.wake()
    }

    func completeAny() {
        guard !active.isEmpty else { return }
        let place = places + Int(active[random.below(active.count)])
        guard place.pointee.isEntered || place.pointee.isDropped else { return }
        complete(place)
    }

    /// Has the engine complete an operation in some way.
    func complete(_ place: Place) {
        guard !place.pointee.isCompleted else { return }
        var flags: CompletionFlags = []
        if place.pointee.form == .worker || (kind != .ioUring && random.isOne(in: 2)) { flags.insert(.usedWorker) }
        post(place, chooseResult(place, flags), flags)
    }

    func post(_ place: Place, _ result: Int32, _ flags: CompletionFlags) {
        tell("  engine: \(name(place)) \(place.pointee.form) completes with \(result)")
        place.pointee.isCompleted = true
        leaveActive(place)
        if result > 0, place.pointee.form == .own || place.pointee.form == .worker { transfer(place, Int(result)) }
        completions.append(Completion(place.pointee.token, result: result, flags: flags))
    }

    private func chooseResult(_ place: Place, _ flags: CompletionFlags) -> Int32 {
        if isQuiet {
            if place.pointee.isCancelAskedOfEngine, !isLostInRing(place), random.isOne(in: 2) { return -ECANCELED }
            return success(place)
        }
        if place.pointee.isDropped, random.isOne(in: 2) {
            return place.pointee.has(.release) ? -ECANCELED : [-ECANCELED, -EFAULT, -EINTR][random.below(3)]
        }
        if place.pointee.isCancelAskedOfEngine, random.below(4) > 0 {
            return random.isOne(in: 4) ? -EINTR : -ECANCELED
        }
        if random.below(3) > 0 { return success(place) }
        return trouble(place, flags)
    }

    private func success(_ place: Place) -> Int32 {
        let facts = place.pointee.facts
        if place.pointee.form == .pollIn { return Int32(CK_POLLIN) }
        if place.pointee.form == .pollOut { return Int32(CK_POLLOUT) }
        if facts.contains(.polls) {
            // POLLRDHUP, which nobody asked for, comes along with what is there.
            return Int32(place.pointee.events | (random.isOne(in: 4) ? 0x2000 : 0))
        }
        if facts.contains(.makesDescriptor) { return makeDescriptor() }
        if facts.contains(.whole) { return Int32(1 + random.below(place.pointee.total - place.pointee.progress)) }
        if facts.contains(.transfer) || facts.contains(.splices) {
            return Int32(random.below(SimulatedMemory.byteCount + 1))
        }
        if facts.contains(.buffered) { return Int32(random.below(ModelBufferGroups.size + 1)) }
        switch place.pointee.kind {
        case .receive, .receiveMessage, .send, .sendZeroCopy, .sendMessage, .sendMessageUnix:
            return Int32(random.below(SimulatedMemory.byteCount + 1))
        case .work, .workRelease, .call: return Int32(random.below(3))
        default: return 0
        }
    }

    func makeDescriptor() -> Int32 {
        descriptorsMade += 1
        return Int32(1_000_000 + descriptorsMade % 1_000_000)
    }

    /// A result that is no success, which this operation may have.
    private func trouble(_ place: Place, _ flags: CompletionFlags) -> Int32 {
        let facts = place.pointee.facts
        if place.pointee.form == .pollIn || place.pointee.form == .pollOut {
            return random.isOne(in: 2) ? -EINTR : -EBADF
        }
        switch random.below(8) {
        case 0: return -EIO
        case 1: return facts.contains(.restarts) || facts.contains(.release) ? -EINTR : -EIO
        case 2: return facts.contains(.transfer) ? -ESPIPE : -EINVAL
        case 3:
            return facts.contains(.transfer) || place.pointee.kind == .sendZeroCopy ? -EOPNOTSUPP : -ENOSYS
        case 4: return facts.contains(.transfer) ? -EINVAL : -EPIPE
        case 5 where kind == .ioUring && facts.contains(.worker) && !facts.contains(.release): return -ECANCELED
        default: return notReady(place)
        }
    }

    private func notReady(_ place: Place) -> Int32 {
        let facts = place.pointee.facts
        if facts.contains(.paced) { return -EAGAIN }
        if facts.contains(.connects) { return random.isOne(in: 2) ? -EINPROGRESS : -EALREADY }
        if facts.contains(.splices) { return random.isOne(in: 2) ? -EAGAIN : -4096 - EAGAIN }
        if facts.contains(.input) || facts.contains(.output) { return -EAGAIN }
        // EAGAIN: no thread could be started. The caller sees it.
        return place.pointee.kind == .futexWait || random.isOne(in: 2) ? -EAGAIN : -ENOMEM
    }

    /// Moves the bytes of a transfer: fills the memory of a read.
    private func transfer(_ place: Place, _ count: Int) {
        let mark = UInt8(truncatingIfNeeded: place.pointee.id)
        if place.pointee.has(.buffered) {
            guard place.pointee.buffer >= 0, let base = groups[Int(place.pointee.group)].base else { return }
            (base + Int(place.pointee.buffer) * ModelBufferGroups.size).initializeMemory(
                as: UInt8.self, repeating: mark, count: count)
        } else if place.pointee.has(.transfer), !place.pointee.has(.writes) {
            memory.address(place.pointee.block).initializeMemory(as: UInt8.self, repeating: mark, count: count)
        }
    }
}
