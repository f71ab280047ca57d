import AIOCore
import CKernel

/// What must hold after each call of the queue.
extension Simulation {
    func begin(_ kind: QueueCall.Kind, until deadline: Nanoseconds = .never) {
        call = QueueCall()
        call.kind = kind
        call.deadline = deadline
        call.hadReady = readyCount > 0
        // The export submits first if something is held.
        call.isBeforeCollecting = !isExporting || pace.isHolding
        switch kind {
        case .submit, .turn, .turnUntil, .wait: noteThread()
        case .none, .drain, .other: break
        }
    }

    func noteThread() {
        guard !configuration.hasDedicatedThread, threadID != hasNotedThread else { return }
        hasNotedThread = threadID
        epoch &+= 1
    }

    /// `collects`: the queue looks at the clock in this call.
    func end(collects: Bool) {
        if collects {
            settleTime()
            owesWake = false
            checkExport()
        }
        call.kind = .none
        checkPlaces()
        check(queue.pointee.readyCount == readyCount, "\(queue.pointee.readyCount) are ready and not \(readyCount)")
        check(
            queue.pointee.inFlightCount == inFlight, "\(queue.pointee.inFlightCount) are in flight and not \(inFlight)")
    }

    private func checkPlaces() {
        for index in 0..<placeCount {
            let place = places + index
            switch place.pointee.phase {
            case .awaitingStage: fail("\(name(place)) is lost: neither with the engine nor over")
            case .attempting: fail("\(name(place)) was to be attempted")
            case .withEngine where place.pointee.isCancelAsked && !place.pointee.isCancelAskedOfEngine:
                fail("the engine does not hear of the cancel of \(name(place))")
            case .more where place.pointee.hasGoneOn, .withEngine where place.pointee.hasGoneOn:
                fail("\(name(place)) has begun a step, but its last completion was not drained")
            default: break
            }
        }
    }

    /// Whatever the queue has to do must be reported by the exported descriptor: by it alone a caller may wake up.
    func checkExport() {
        guard isExported else { return }
        check(unenteredCount == stagedByCallerCount || isReadable, "operations are staged, and nobody submits them")
        check(!pace.isHolding || !hasHeld, "operations are held behind an exported descriptor")
        check(readyCount == 0 || isReadable, "there is something to drain, and the descriptor is not readable")
        let earliest = earliest
        guard readyCount == 0, earliest != .never else { return }
        check(
            descriptors.armed != 0 && descriptors.armed <= max(earliest, 1),
            "the descriptor becomes readable at \(descriptors.armed), after the deadline \(earliest)")
    }

    private var hasHeld: Bool {
        for index in 0..<placeCount where places[index].phase == .held { return true }
        return false
    }

    /// poll(2) of the exported descriptor.
    var isReadable: Bool {
        (descriptors.armed != 0 && descriptors.armed <= now)
            || (isEngineExported && descriptors.watches(engineDescriptor) && !completions.isEmpty)
    }

    func name(_ place: Place) -> String {
        "\(place.pointee.kind) #\(place.pointee.id) (slot \(slot(of: place)))"
    }

    // MARK: What the engine is asked to do

    func checkForm(_ place: Place, _ operation: Operation, isForWorker: Bool) {
        let form = place.pointee.form
        check(isForWorker == (form == .worker), "\(name(place)) is staged for the wrong one: \(form)")
        let isRight =
            switch form {
            case .pollIn: isPoll(operation, place.pointee.descriptor, CK_POLLIN)
            case .pollOut:
                isPoll(
                    operation,
                    place.pointee.otherDescriptor >= 0 ? place.pointee.otherDescriptor : place.pointee.descriptor,
                    CK_POLLOUT)
            case .own, .worker: isOwn(place, operation)
            }
        check(isRight, "\(name(place)) is staged as something else: \(operation.traits.name), \(form)")
    }

    private func isPoll(_ operation: Operation, _ descriptor: Int32, _ events: UInt32) -> Bool {
        guard case .poll(let polled, let asked) = operation else { return false }
        return polled.number == descriptor && asked == events
    }

    private func isOwn(_ place: Place, _ operation: Operation) -> Bool {
        switch (place.pointee.kind, operation) {
        case (.nop, .nop), (.sync, .sync), (.dataSync, .sync), (.syncRange, .syncRange), (.open, .open),
            (.close, .close), (.status, .status), (.allocate, .allocate), (.truncate, .truncate), (.advise, .advise),
            (.rename, .rename), (.unlink, .unlink), (.makeDirectory, .makeDirectory), (.link, .link),
            (.symbolicLink, .symbolicLink), (.call, .call), (.work, .work), (.workRelease, .work),
            (.waitForChild, .waitForChild), (.futexWait, .futexWait), (.splice, .splice), (.spliceFile, .splice),
            (.tee, .tee):
            true
        case (.poll, .poll(let file, let events)), (.pollEach, .poll(let file, let events)):
            file.number == place.pointee.descriptor && events == place.pointee.events
        case (_, .transfer(let transfer)) where place.pointee.has(.transfer): isOwnTransfer(place, transfer)
        case (_, .socket(let call)): isOwnCall(place, call)
        default: false
        }
    }

    private func isOwnTransfer(_ place: Place, _ transfer: Transfer) -> Bool {
        guard transfer.isWrite == place.pointee.has(.writes), transfer.descriptor.number == place.pointee.descriptor,
            transfer.form.contains(.throughPageCache) == place.pointee.isThroughPageCache,
            transfer.form.contains(.dropsAppendFlags) == place.pointee.dropsAppendFlags
        else { return false }
        let memory = memory.address(place.pointee.block)
        let rest = memory + place.pointee.progress
        guard transfer.isVectored else {
            return transfer.base == rest && transfer.count == place.pointee.total - place.pointee.progress
        }
        guard let base = transfer.base?.assumingMemoryBound(to: iovec.self) else { return false }
        var sum = 0
        for index in 0..<transfer.count { sum += Int(base[index].iov_len) }
        return sum == place.pointee.total - place.pointee.progress && base.pointee.iov_base == rest
    }

    private func isOwnCall(_ place: Place, _ call: SocketCall) -> Bool {
        switch (place.pointee.kind, call) {
        case (.create, .create), (.bind, .bind), (.listen, .listen), (.accept, .accept), (.acceptEach, .accept),
            (.connect, .connect), (.connectUnix, .connect), (.receive, .receive), (.receiveMessage, .receiveMessage),
            (.send, .send), (.sendMessage, .sendMessage), (.sendMessageUnix, .sendMessage), (.shutdown, .shutdown):
            true
        case (.sendZeroCopy, .sendZeroCopy): place.pointee.isZeroCopy
        case (.sendZeroCopy, .send): !place.pointee.isZeroCopy
        case (.receiveBuffered, .receive(_, let base, let count, let flags, _)),
            (.receiveEach, .receive(_, let base, let count, let flags, _)):
            flags & CK_MSG_DONTWAIT != 0 && takesBuffer(place, base, count)
        default: false
        }
    }

    /// The buffer that a step has taken out of its group must be free, and the group's.
    private func takesBuffer(_ place: Place, _ base: UnsafeMutableRawPointer?, _ count: Int) -> Bool {
        let group = Int(place.pointee.group)
        guard let base, let start = groups[group].base, groups[group].exists, count == ModelBufferGroups.size else {
            return false
        }
        let offset = base - start
        let index = offset / ModelBufferGroups.size
        guard offset >= 0, offset % ModelBufferGroups.size == 0, index < groups[group].count,
            groups[group].isOut & 1 << UInt32(index) == 0
        else { return false }
        groups[group].isOut |= 1 << UInt32(index)
        place.pointee.buffer = Int32(index)
        return true
    }
}
