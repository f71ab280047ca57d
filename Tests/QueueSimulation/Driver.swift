import AIOCore
import CKernel

/// The simulated caller: calls the queue in every way that is allowed.
extension Simulation {
    func takeStep(_ index: Int) {
        step = index
        random = StepRandom(seed: seed, step: index)
        switch random.below(128) {
        case 0..<40: prepareAndStage()
        case 40..<44: prepare(chooseKind())
        case 44..<48: stagePrepared()
        case 48..<56: requestCancel(chooseToken())
        case 56..<58: requestCancelAll()
        case 58..<62: submit()
        case 62..<80: turn()
        case 80..<90: turnUntil()
        case 90..<95: wait()
        case 95..<104: drain(1 + random.below(4))
        case 104..<116: popReady()
        case 116..<120: advance()
        case 120..<123: completeSome()
        case 123: wakeBefore()
        case 124: changeThread()
        case 125: register()
        case 126: if random.isOne(in: 4) { exportDescriptor() }
        default: loseOrGoOn()
        }
    }

    private func prepareAndStage() {
        guard prepare(chooseKind()) != nil, let slot = preparedSlots.popLast() else { return }
        stage(places + Int(slot))
    }

    func stagePrepared() {
        guard !preparedSlots.isEmpty else { return }
        let slot = preparedSlots.remove(at: random.below(preparedSlots.count))
        stage(places + Int(slot))
    }

    func requestCancel(_ token: Token) {
        tell("cancel slot \(token.rawValue & 0xffff_ffff), generation \(token.rawValue >> 32)")
        begin(.other)
        let expected = expectCancel(token)
        let result = queue.pointee.requestCancel(token)
        check(result == expected, "a cancel request returns \(result) and not \(expected)")
        end(collects: false)
    }

    func requestCancelAll() {
        let descriptor: Int32 = random.isOne(in: 4) ? -1 : [100, 110, 120, 121, 130, 131][random.below(6)]
        let exempt = random.isOne(in: 2) ? chooseToken() : nil
        tell("cancel all on \(descriptor)")
        begin(.other)
        let expected = expectCancelAll(on: descriptor, except: exempt)
        let count = queue.pointee.requestCancelAll(
            on: descriptor < 0 ? nil : Descriptor(descriptor), except: exempt)
        check(count == expected, "a cancel of all asks \(count) and not \(expected)")
        end(collects: false)
    }

    func submit() {
        tell("submit")
        begin(.submit)
        queue.pointee.submit()
        end(collects: true)
    }

    func turn() {
        tell("turn, now \(now)")
        begin(.turn)
        queue.pointee.turn()
        end(collects: true)
    }

    private func chooseEnd() -> Nanoseconds {
        switch random.below(4) {
        case 0: .never
        case 1: now
        default: now + random.nanoseconds(below: 1_000_000)
        }
    }

    func turnUntil() {
        let end = chooseEnd()
        tell("turn until \(end), now \(now)")
        begin(.turnUntil, until: end)
        queue.pointee.turn(until: end)
        self.end(collects: true)
    }

    private func wait() {
        let end = inFlight == 0 ? chooseEnd() : now + random.nanoseconds(below: 1_000_000)
        let count = random.below(6)
        tell("wait for \(count) until \(end)")
        begin(.wait, until: end)
        let result = queue.pointee.wait(atLeast: count, until: end)
        self.end(collects: true)
        check(result == readyCount, "a wait returns \(result), and \(readyCount) are ready")
        check(
            result >= count || now >= end || readyCount >= inFlight,
            "a wait for \(count) ends with \(result) of \(inFlight) before its deadline")
    }

    func drain(_ capacity: Int) {
        let wasReady = readyCount
        begin(.drain)
        let count = withUnsafeTemporaryAllocation(of: Delivery.self, capacity: capacity) { buffer in
            let count = queue.pointee.drain(into: buffer)
            for index in 0..<count { take(buffer[index]) }
            return count
        }
        endDrain(hasDrainedAll: count < capacity)
        check(count >= min(capacity, wasReady), "a drain of \(wasReady) returns \(count)")
    }

    func popReady() {
        let wasReady = readyCount
        begin(.drain)
        let delivery = queue.pointee.popReady()
        if let delivery { take(delivery) }
        endDrain(hasDrainedAll: delivery == nil)
        check(delivery != nil || wasReady == 0, "nothing is drained of \(wasReady)")
    }

    private func endDrain(hasDrainedAll: Bool) {
        if hasDrainedAll, isExported { checkExport() }
        if call.entries > 0 { owesWake = false }
        end(collects: false)
    }

    private func advance() {
        now += random.nanoseconds(below: random.isOne(in: 8) ? 5_000_000 : 30_000)
        tell("the clock is \(now)")
    }

    private func wakeBefore() {
        tell("another thread: wake")
        owesWake = true
        queue.pointee.wake()
    }

    /// Another thread uses the queue from now on. The one before may have gone, and the kernel drops what it
    /// submitted.
    private func changeThread() {
        guard !configuration.hasDedicatedThread else { return }
        threadID += 1
        let isGone = random.isOne(in: 2)
        tell("thread \(threadID) takes over, and the last one \(isGone ? "is gone" : "lives")")
        guard isGone else { return }
        for slot in active where places[Int(slot)].isEntered { places[Int(slot)].isDropped = true }
    }

    private func register() {
        let count = random.below(3)
        expectedRegistration = (count, 1 + random.below(4), [0, -Int(ENXIO), -Int(EBUSY)][random.below(3)])
        if expectedRegistration.call % 2 == 0 { expectedRegistration.count = 0 }
        let result: Int
        switch expectedRegistration.call {
        case 1: result = queue.pointee.register(files: UnsafeBufferPointer(start: nil, count: 0).prefixed(count))
        case 2: result = queue.pointee.unregisterFiles()
        case 3: result = queue.pointee.register(buffers: UnsafeBufferPointer(start: nil, count: 0).prefixed(count))
        default: result = queue.pointee.unregisterBuffers()
        }
        check(result == expectedRegistration.result, "a registration returns \(result)")
    }

    func exportDescriptor() {
        guard !isExported else {
            let number = queue.pointee.exportDescriptor()
            return check(number == Int32(SimulatedDescriptors.movedEpoll), "a second export returns \(number)")
        }
        tell("export the descriptor")
        isExporting = true
        noteThread()
        begin(.other)
        let submits = pace.isHolding
        let number = queue.pointee.exportDescriptor()
        isExported = number >= 0
        if isExported { coverage.exported += 1 }
        check(
            number == Int32(SimulatedDescriptors.movedEpoll) || number == -EMFILE,
            "the exported descriptor is \(number)")
        end(collects: isExported || submits)
        isExporting = false
    }

    /// The ring is lost, or, later, another thread takes over after that.
    private func loseOrGoOn() {
        guard kind == .ioUring else { return }
        guard lostErrno != 0 else {
            if random.isOne(in: 4) { loseRing() }
            return
        }
        tell("the queue goes on after its thread")
        begin(.other)
        epoch &+= 1
        queue.pointee.goOnAfterThread()
        end(collects: false)
    }
}

extension UnsafeBufferPointer {
    /// A buffer of `count` elements that nobody reads.
    fileprivate func prefixed(_ count: Int) -> UnsafeBufferPointer {
        UnsafeBufferPointer(start: UnsafePointer(bitPattern: MemoryLayout<Element>.alignment), count: count)
    }
}
