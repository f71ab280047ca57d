import AIOCore
import CKernel

/// What must become of an operation when it is staged, and of one that is to be cancelled.
extension Simulation {
    func stage(_ place: Place) {
        tell("stage \(name(place))")
        inFlight += 1
        begin(.other)
        expectStaging(place)
        let isReadableBefore = isExported && isReadable
        queue.pointee.stage(place.pointee.token)
        if place.pointee.phase == .awaitingStage, mayBeHeld(place) {
            coverage.held += 1
            place.pointee.phase = .held
            pace.append(place.pointee.token)
        }
        let isIdle = readyCount == 0 && unenteredCount == stagedByCallerCount
        check(!isReadableBefore || isIdle || isReadable, "the exported descriptor is no longer readable")
        end(collects: false)
    }

    private func mayBeHeld(_ place: Place) -> Bool {
        !isExported && !place.pointee.has(.wait) && !place.pointee.has(.whole) && pace.holds
    }

    private func expectStaging(_ place: Place) {
        let isRelease = place.pointee.has(.release)
        place.pointee.epoch = epoch
        if isRelease {
            place.pointee.isCancelAsked = false
            place.pointee.deadline = .never
        }
        guard !place.pointee.isCancelAsked else { return finish(place, -ECANCELED, []) }
        if place.pointee.deadline <= now {
            place.pointee.isDeadlinePassed = true
            coverage.deadlines += 1
            return finish(place, -ECANCELED, [])
        }
        if place.pointee.has(.atOnce) {
            place.pointee.phase = .awaitingStage
            return finish(place, resultAtOnce(place), [])
        }
        if place.pointee.has(.timer) {
            let isValid = place.pointee.kind == .timeout || place.pointee.interval > 0
            return isValid ? place.pointee.phase = .timer : finish(place, -EINVAL, [])
        }
        stageAgain(place, isReady: false)
        // Held ones are staged later: the engine's part takes note.
    }

    private func resultAtOnce(_ place: Place) -> Int32 {
        switch place.pointee.kind {
        case .cancel: expectCancel(place.pointee.target)
        case .cancelAll:
            Int32(expectCancelAll(on: place.pointee.otherDescriptor, except: place.pointee.token))
        case .register: register(place)
        case .provide: provide(place)
        default: unregister(place)
        }
    }

    // MARK: Groups

    private func register(_ place: Place) -> Int32 {
        guard let index = (0..<ModelBufferGroups.limit).first(where: { !groups[$0].exists }) else { return -ENOSPC }
        groups[index] = ModelBufferGroups.Group(
            exists: true, count: place.pointee.bufferCount, freeCount: place.pointee.bufferCount,
            base: memory.region(place.pointee.region), region: place.pointee.region)
        place.pointee.region = -1
        return Int32(index)
    }

    private func provide(_ place: Place) -> Int32 {
        let group = Int(place.pointee.group)
        guard groups.exists(place.pointee.group) else { return -ENOENT }
        guard place.pointee.buffer < groups[group].count else { return -EINVAL }
        groups[group].isOut &= ~(1 << UInt32(place.pointee.buffer))
        groups[group].freeCount += 1
        return 0
    }

    private func unregister(_ place: Place) -> Int32 {
        let group = Int(place.pointee.group)
        guard groups.exists(place.pointee.group) else { return -ENOENT }
        guard groups[group].freeCount == groups[group].count else { return -EBUSY }
        memory.freeRegions.append(groups[group].region)
        groups[group] = ModelBufferGroups.Group()
        return 0
    }

    // MARK: Cancels

    /// Takes note of a cancel request, and returns its result.
    func expectCancel(_ token: Token) -> Int32 {
        let slot = Int(token.rawValue & 0xffff_ffff)
        guard slot < placeCount, places[slot].token == token else { return -ENOENT }
        let place = places + slot
        switch place.pointee.phase {
        case .free, .final: return -ENOENT
        default: break
        }
        guard !place.pointee.isCancelAsked else { return -EALREADY }
        guard place.pointee.phase == .prepared || !place.pointee.has(.release) else { return -EALREADY }
        place.pointee.isCancelAsked = true
        coverage.cancelled += 1
        switch place.pointee.phase {
        case .held, .pausing, .timer: finish(place, -ECANCELED, [])
        default: break
        }
        return 0
    }

    /// `descriptor`: -1 for all.
    func expectCancelAll(on descriptor: Int32, except exempt: Token?) -> Int {
        var count = 0
        for index in 0..<placeCount {
            let place = places + index
            guard place.pointee.isStaged, place.pointee.phase != .final, place.pointee.token != exempt else { continue }
            if descriptor >= 0, !isOn(place, descriptor) { continue }
            if expectCancel(place.pointee.token) == 0 { count += 1 }
        }
        return count
    }

    private func isOn(_ place: Place, _ descriptor: Int32) -> Bool {
        if place.pointee.descriptor == descriptor, !place.pointee.isRegistered { return true }
        return place.pointee.has(.splices) && place.pointee.otherDescriptor == descriptor
    }
}
