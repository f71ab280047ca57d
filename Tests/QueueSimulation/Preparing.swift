import AIOCore
import CKernel

/// How the simulated caller makes operations.
extension Simulation {
    private static let allKinds = Kind.allCases
    private static let diskKinds: [Kind] = [
        .nop, .read, .write, .readDirect, .writeDirect, .sync, .open, .close, .work,
    ]
    private static let messageKinds: [Kind] = [
        .poll, .pollEach, .receive, .acceptEach, .receiveEach, .readStream, .wholeWrite, .send, .splice,
    ]

    func chooseKind() -> Kind {
        switch random.below(8) {
        case 0, 1: Self.diskKinds[random.below(Self.diskKinds.count)]
        case 2, 3: Self.messageKinds[random.below(Self.messageKinds.count)]
        default: Self.allKinds[random.below(Self.allKinds.count)]
        }
    }

    /// Takes a place for an operation of this kind. The queue must have one exactly if the model has.
    @discardableResult
    func prepare(_ kind: Kind) -> Place? {
        if kind == .register, memory.freeRegions.isEmpty { return nil }
        var made = SimulatedOperation()
        made.kind = kind
        made.facts = kind.facts
        made.id = nextID
        made.block = memory.take()
        made.deadline = chooseDeadline()
        made.total = SimulatedMemory.byteCount
        let operation = makeOperation(&made)
        let isWaiting = made.has(.wait) && waitingLimit > 0
        let isFull = isWaiting ? usedWaitingPlaces == waitingLimit : usedPlaces == queueDepth
        guard let token = queue.pointee.prepare(operation, context: made.id, deadline: made.deadline) else {
            check(isFull, "no place for a \(kind): \(usedPlaces) and \(usedWaitingPlaces) are taken")
            memory.giveBack(made.block)
            if made.region >= 0 { memory.freeRegions.append(made.region) }
            coverage.refusedAtLimit += 1
            return nil
        }
        check(!isFull, "a place beyond the limit for a \(kind)")
        let place = place(of: token)
        guard Int(token.rawValue & 0xffff_ffff) < placeCount, place.pointee.phase == .free else {
            fail("a place is given out twice")
            return nil
        }
        nextID += 1
        coverage.operations += 1
        if isWaiting { usedWaitingPlaces += 1 } else { usedPlaces += 1 }
        made.token = token
        made.phase = .prepared
        place.initialize(to: made)
        preparedSlots.append(slot(of: place))
        tell("prepare \(name(place)), deadline \(made.deadline == .never ? "never" : String(made.deadline))")
        return place
    }

    private func chooseDeadline() -> Nanoseconds {
        switch random.below(16) {
        case 0: random.isOne(in: 2) ? 0 : now
        case 1, 2: now + random.nanoseconds(below: 20_000)
        case 3: now + random.nanoseconds(below: 3_000_000)
        case 4: now + 3_600_000_000_000
        default: .never
        }
    }

    private func file(_ made: inout SimulatedOperation, _ kind: Descriptor.Kind) -> Descriptor {
        let first: Int32 =
            switch kind {
            case .buffered: 100
            case .direct: 110
            case .stream: 120
            case .unknown, .other: 130
            }
        made.descriptor = first + Int32(random.below(4))
        guard made.has(.transfer), random.isOne(in: 8) else { return Descriptor(made.descriptor, kind: kind) }
        made.isRegistered = true
        return .registered(made.descriptor, kind: kind)
    }

    private func makeOperation(_ made: inout SimulatedOperation) -> Operation {
        if made.has(.transfer) { return makeTransfer(&made) }
        let memory = memory.address(made.block)
        let path = UnsafePointer(memory.assumingMemoryBound(to: CChar.self))
        switch made.kind {
        case .sync: return .sync(file(&made, .buffered), .full)
        case .dataSync: return .sync(file(&made, .buffered), .data)
        case .syncRange: return .syncRange(file(&made, .buffered), offset: 0, count: 1, flags: 0)
        case .allocate: return .allocate(file(&made, .buffered), mode: 0, offset: 0, count: 1)
        case .truncate: return .truncate(file(&made, .buffered), size: 1)
        case .advise: return .advise(file(&made, .buffered), offset: 0, count: 1, advice: 0)
        case .open: return .open(directory: -1, path: path, how: memory.assumingMemoryBound(to: ck_open_how.self))
        case .close: return .close(100)
        case .status:
            return .status(
                directory: -1, path: path, flags: 0, mask: 0, result: memory.assumingMemoryBound(to: ck_statx.self))
        case .rename: return .rename(directory: -1, path: path, newDirectory: -1, newPath: path, flags: 0)
        case .unlink: return .unlink(directory: -1, path: path, flags: 0)
        case .makeDirectory: return .makeDirectory(directory: -1, path: path, permissions: 0)
        case .link: return .link(directory: -1, path: path, newDirectory: -1, newPath: path, flags: 0)
        case .symbolicLink: return .symbolicLink(target: path, directory: -1, path: path)
        case .call: return .call(.readLink(directory: -1, path: path, buffer: memory, count: 1))
        case .work: return .work(Unmanaged.passUnretained(Self.work))
        case .workRelease: return .work(Unmanaged.passUnretained(Self.releasingWork))
        case .splice, .spliceFile, .tee: return makeSplice(&made)
        case .waitForChild:
            made.isWithoutWaiting = random.isOne(in: 8)
            return .waitForChild(
                file(&made, .other), status: memory.assumingMemoryBound(to: ck_child_status.self),
                options: made.isWithoutWaiting ? CK_WNOHANG : 0)
        case .futexWait: return .futexWait(FutexWait(memory.assumingMemoryBound(to: UInt32.self), while: 0))
        case .poll, .pollEach:
            made.events = random.isOne(in: 2) ? CK_POLLIN : CK_POLLIN | CK_POLLOUT
            let file = file(&made, .stream)
            return made.kind == .poll ? .poll(file, events: made.events) : .pollEach(file, events: made.events)
        case .timeout, .repeatingTimeout: return makeTimer(&made)
        case .register, .provide, .unregister: return .buffers(makeGroupCall(&made))
        case .cancelAll:
            let isAll = random.isOne(in: 3)
            made.otherDescriptor = isAll ? -1 : [100, 101, 110, 120, 121, 130, 131][random.below(7)]
            return .cancelAll(on: isAll ? nil : Descriptor(made.otherDescriptor))
        case .cancel:
            made.target = chooseToken()
            return .cancel(target: made.target)
        case .nop: return .nop
        default: return .socket(makeCall(&made))
        }
    }

    // Never run: the simulated engine completes it. The queue only asks it to end.
    nonisolated private static let work = BlockingWork(deadline: .never)
    nonisolated private static let releasingWork = BlockingWork(deadline: .never, isRelease: true)

    private func makeTransfer(_ made: inout SimulatedOperation) -> Operation {
        let kind: Descriptor.Kind =
            made.has(.stream) ? .stream : made.kind == .readDirect || made.kind == .writeDirect ? .direct : .buffered
        let memory = memory.address(made.block)
        let offset: Int64 = random.isOne(in: 4) ? Transfer.currentPosition : 8
        made.hasOffset = offset >= 0
        var transfer = Transfer(file(&made, kind), memory, count: made.total, offset: offset)
        if made.has(.writes) { transfer.form.insert(.writing) }
        if made.has(.whole) { transfer.form.insert(.whole) }
        if !made.has(.whole), random.isOne(in: 6) {
            made.isWithoutWaiting = true
            transfer.flags.insert(.noWait)
        }
        if made.has(.writes), !made.has(.stream), random.isOne(in: 6) {
            made.dropsAppendFlags = true
            transfer.flags.insert(.append)
            transfer.form.insert(.dropsAppendFlags)
        }
        guard made.kind == .readVectored || made.kind == .wholeVectored else { return .transfer(transfer) }
        let vectors = (memory + SimulatedMemory.vectors).bindMemory(to: iovec.self, capacity: 4)
        // One of them is empty.
        vectors[0] = iovec(iov_base: memory, iov_len: 8)
        vectors[1] = iovec(iov_base: memory + 8, iov_len: 0)
        vectors[2] = iovec(iov_base: memory + 8, iov_len: made.total - 8)
        transfer.form.insert(.vectored)
        transfer.base = UnsafeMutableRawPointer(vectors)
        transfer.count = 3
        return .transfer(transfer)
    }

    private func makeSplice(_ made: inout SimulatedOperation) -> Operation {
        made.isWithoutWaiting = random.isOne(in: 6)
        let input = file(&made, made.kind == .spliceFile ? .buffered : .stream)
        made.otherDescriptor = 130 + Int32(random.below(4))
        let splice = Splice(
            from: input, to: Descriptor(made.otherDescriptor, kind: .stream), count: 48,
            flags: made.isWithoutWaiting ? CK_SPLICE_F_NONBLOCK : 0)
        return made.kind == .tee ? .tee(splice) : .splice(splice)
    }

    private func makeTimer(_ made: inout SimulatedOperation) -> Operation {
        made.due = random.isOne(in: 8) ? 0 : now + random.nanoseconds(below: 200_000)
        if random.isOne(in: 16) { made.due = .never - random.nanoseconds(below: 2) }
        guard made.kind == .repeatingTimeout else { return .timeout(deadline: made.due) }
        made.interval = random.isOne(in: 16) ? 0 : 1 + random.nanoseconds(below: 100_000)
        if random.isOne(in: 32) { made.interval = .max }
        return .repeatingTimeout(first: made.due, interval: made.interval)
    }

    private func makeGroupCall(_ made: inout SimulatedOperation) -> BufferGroupCall {
        if made.kind == .register {
            made.region = memory.freeRegions.removeLast()
            made.bufferCount = 1 + random.below(8)
            return .register(
                base: memory.region(made.region), size: UInt32(ModelBufferGroups.size), count: UInt16(made.bufferCount))
        }
        made.group = chooseGroup()
        guard made.kind == .provide else { return .unregister(group: made.group) }
        made.buffer = 40
        if groups.exists(made.group), !groups[Int(made.group)].withCaller.isEmpty {
            made.buffer = Int32(groups[Int(made.group)].withCaller.removeLast())
        }
        return .provide(group: made.group, buffer: UInt16(made.buffer))
    }

    private func chooseGroup() -> UInt16 {
        let group = UInt16(random.below(SimulatedMemory.regionCount))
        return random.isOne(in: 32) ? 999 : group
    }

    private func makeCall(_ made: inout SimulatedOperation) -> SocketCall {
        let memory = memory.address(made.block)
        let socket = file(&made, .other)
        if made.kind == .create { made.descriptor = -1 }
        let count = made.total
        let address = memory + SimulatedMemory.address
        let isUnix = made.kind == .connectUnix || made.kind == .sendMessageUnix
        address.storeBytes(of: UInt16(isUnix ? CK_AF_UNIX : CK_AF_INET), as: UInt16.self)
        let mayRefuseToWait = made.has(.input) || made.has(.output)
        made.isWithoutWaiting = mayRefuseToWait && !made.has(.repeating) && made.kind != .accept && random.isOne(in: 6)
        let flags: Int32 = made.isWithoutWaiting ? CK_MSG_DONTWAIT : 0
        switch made.kind {
        case .create: return .create(domain: 2, type: 1, protocol: 0)
        case .bind: return .bind(socket, address: address, count: 16)
        case .listen: return .listen(socket, backlog: 1)
        case .accept: return .accept(socket, address: nil, count: nil, flags: 0)
        case .acceptEach: return .acceptEach(socket, flags: 0)
        case .connect, .connectUnix: return .connect(socket, address: address, count: 16)
        case .receive: return .receive(socket, memory, count: count, flags: flags)
        case .receiveBuffered, .receiveEach:
            made.group = chooseGroup()
            return .receiveBuffered(socket, group: made.group, flags: flags, isRepeating: made.kind == .receiveEach)
        case .send: return .send(socket, memory, count: count, flags: flags)
        case .sendZeroCopy:
            made.isZeroCopy = true
            return .sendZeroCopy(socket, memory, count: count, flags: flags)
        case .receiveMessage, .sendMessage, .sendMessageUnix:
            let message = (memory + SimulatedMemory.message).bindMemory(to: ck_message.self, capacity: 1)
            message.initialize(to: ck_message())
            message.pointee.name = address
            if made.kind == .receiveMessage { return .receiveMessage(socket, message, flags: flags) }
            return .sendMessage(socket, message, flags: flags)
        default: return .shutdown(socket, how: 0)
        }
    }

    /// A token of any age.
    func chooseToken() -> Token {
        switch random.below(8) {
        case 0: return Token(rawValue: random.next())
        case 1 where !staleTokens.isEmpty: return staleTokens[random.below(staleTokens.count)]
        default:
            let start = random.below(placeCount)
            for offset in 0..<placeCount {
                let place = places + (start + offset) % placeCount
                if place.pointee.phase != .free { return place.pointee.token }
            }
            return Token(rawValue: UInt64(placeCount + start))
        }
    }
}
