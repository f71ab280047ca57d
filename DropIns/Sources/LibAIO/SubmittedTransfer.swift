internal import AIOCore
internal import CDropIns
internal import CKernel
internal import DropInSupport
internal import Synchronization

/// Reads and writes that are not the kernel's: checked as the kernel checks them, carried out in the call where that does not
/// wait, and handed over where it would.
extension Submission {
    mutating func acceptTransfer(
        _ block: ck_iocb, _ openFlags: UInt64, _ record: UnsafeMutablePointer<Record>
    ) -> Int {
        let isWrite = block.opcode == CK_IOCB_CMD_PWRITE || block.opcode == CK_IOCB_CMD_PWRITEV
        var refused = TransferRules.check(block, isWrite: isWrite)
        guard refused == 0 else { return refused }
        let isDirect = openFlags & CK_O_DIRECT != 0
        let isAttempt = !isDirect && block.rw_flags & CK_RWF_NOWAIT != 0 && !isBehindOthers(block, isWrite: isWrite)
        if !isAttempt, block.rw_flags & ~TransferRules.plainFlags != 0 {
            refused = library.pointee.probe.refusal(block, isWrite: isWrite)
            guard refused == 0 else { return refused }
        }
        if isAttempt { return attempt(block, openFlags, record, isWrite: isWrite) }
        let access = openFlags & CK_O_ACCMODE
        guard access == CK_O_RDWR || access == (isWrite ? CK_O_WRONLY : CK_O_RDONLY) else { return -Int(EBADF) }
        // What it is, is asked when it has to be known; with most it is this.
        var transfer = Transfer(
            Descriptor(Int32(bitPattern: block.descriptor), kind: .buffered),
            UnsafeMutableRawPointer(bitPattern: UInt(block.address)),
            count: Int(block.count), offset: block.offset, flags: TransferFlags(rawValue: block.rw_flags))
        if block.flags & CK_IOCB_FLAG_IOPRIO != 0 { transfer.priority = UInt16(bitPattern: block.priority) }
        let isVectored = block.opcode == CK_IOCB_CMD_PREADV || block.opcode == CK_IOCB_CMD_PWRITEV
        var bytes = transfer.count
        if isVectored {
            refused = copyVectors(&transfer, &bytes, record)
            guard refused == 0 else { return refused }
        } else {
            bytes = min(bytes, TransferRules.countMax)
            transfer.count = bytes
            guard TransferRules.isInUserSpace(block.address, bytes) else { return -Int(EFAULT) }
        }
        refused = TransferRules.checkRange(block.offset, bytes)
        guard refused == 0 else { return refused }
        record.pointee.operation = Self.operation(transfer, isWrite: isWrite, isVectored: isVectored)
        if !isDirect, !isWrite, let result = served(record, transfer, bytes) {
            context.complete(record, result, result < 0 ? .call : .pageCache)
            return 0
        }
        return hand(record, transfer, bytes, openFlags, isWrite: isWrite)
    }

    private static func operation(_ transfer: Transfer, isWrite: Bool, isVectored: Bool) -> Operation {
        switch (isWrite, isVectored) {
        case (false, false): .read(transfer)
        case (false, true): .readVectored(transfer)
        case (true, false): .write(transfer)
        case (true, true): .writeVectored(transfer)
        }
    }

    /// Copies the iovecs, of which the program may make others once the call has returned.
    private mutating func copyVectors(
        _ transfer: inout Transfer, _ bytes: inout Int, _ record: UnsafeMutablePointer<Record>
    ) -> Int {
        // Of the number of iovecs the kernel looks at 32 bits.
        transfer.count &= 0xffff_ffff
        let count = transfer.count
        guard count <= TransferRules.vectorsMax else { return -Int(EINVAL) }
        let size = count * MemoryLayout<iovec>.stride
        guard TransferRules.isInUserSpace(UInt64(UInt(bitPattern: transfer.base)), size),
            known.canRead(UInt(bitPattern: transfer.base), size)
        else { return -Int(EFAULT) }
        guard let memory = malloc(max(size, 1)) else { return -Int(ENOMEM) }
        let vectors = memory.bindMemory(to: iovec.self, capacity: max(count, 1))
        record.pointee.vectors = vectors
        if let base = transfer.base { memcpy(memory, base, size) }
        transfer.base = memory
        return TransferRules.total(UnsafeMutableBufferPointer(start: vectors, count: count), &bytes)
    }

    // MARK: In the call

    /// The program wants no waiting (RWF_NOWAIT): the kernel is asked, and whatever it says is so.
    private func attempt(
        _ block: ck_iocb, _ openFlags: UInt64, _ record: UnsafeMutablePointer<Record>, isWrite: Bool
    ) -> Int {
        switch library.pointee.probe.attempt(block) {
        case .refused(let error): return error
        case .done(let result): return finish(record, result)
        // The plain call says the same, but not whether that is a refusal.
        case .unknown: break
        }
        var vector = iovec(
            iov_base: UnsafeMutableRawPointer(bitPattern: UInt(block.address)), iov_len: numericCast(block.count))
        let isVectored = block.opcode == CK_IOCB_CMD_PREADV || block.opcode == CK_IOCB_CMD_PWRITEV
        let number = Int32(bitPattern: block.descriptor)
        let result = withUnsafePointer(to: &vector) { single in
            let vectors = isVectored ? UnsafePointer<iovec>(bitPattern: UInt(block.address)) : single
            let count = isVectored ? Int(block.count) : 1
            return isWrite
                ? Kernel.pwritev2(number, vectors, count, block.offset, block.rw_flags)
                : Kernel.preadv2(number, vectors, count, block.offset, block.rw_flags)
        }
        return result == -Int(EOPNOTSUPP) || result == -Int(EBADF) ? result : finish(record, result)
    }

    /// Whether others are before it in a stream's order: then it may not be in the middle of a write that has come half way, or
    /// get what an earlier read waits for. The kernel would be at those still.
    private func isBehindOthers(_ block: ck_iocb, isWrite: Bool) -> Bool {
        guard !library.pointee.order.isEmpty else { return false }
        let number = Int32(bitPattern: block.descriptor)
        let (descriptor, file) = Descriptor.identify(number)
        guard descriptor.kind == .stream else { return false }
        return library.pointee.order.isBusy(CallOrder.Name(descriptor: number, file: file, isWrite: isWrite))
    }

    /// What the page cache holds is read here and now: the result, or nil if this is for the loop.
    private func served(_ record: UnsafeMutablePointer<Record>, _ transfer: Transfer, _ bytes: Int) -> Int? {
        guard bytes <= Transfer.inlineLimit else { return nil }
        let guess = library.pointee.guess(transfer.descriptor.number, isWrite: false)
        guard guess.pointee.isWorthAsking() else { return nil }
        let result = record.pointee.operation.attemptWithoutWaiting(transfer)
        if result >= 0 {
            guess.pointee.noteHit()
            return result
        }
        switch result {
        case -Int(EAGAIN): guess.pointee.noteMiss()
        case -Int(EOPNOTSUPP):
            // It may be a file in memory: asking is cheaper than the loop.
            var known = transfer
            known.descriptor = .classify(transfer.descriptor.number)
            if let result = record.pointee.operation.with(known).resultInMemory() { return result }
            guess.pointee.noteUnsupported()
        case -Int(ESPIPE): break
        default: return result
        }
        return nil
    }

    /// A small write that the file system takes without waiting (XFS, Btrfs) is done here, unless others are before it.
    /// nil if all or the rest of it is to be handed over.
    private func written(_ record: UnsafeMutablePointer<Record>, _ transfer: Transfer, _ bytes: Int) -> Int? {
        guard bytes <= Self.smallWrite, context.writeCount.pointee.load(ordering: .acquiring) == 0 else { return nil }
        let guess = library.pointee.guess(transfer.descriptor.number, isWrite: true)
        guard guess.pointee.isWorthAsking() else { return nil }
        var attempt = transfer
        attempt.flags.insert(.noWait)
        let result = record.pointee.operation.attemptOnce(attempt)
        switch result {
        case bytes:
            guess.pointee.noteHit()
            return result
        case 1...:
            if let rest = record.pointee.operation.rest(after: result) { record.pointee.takeOff(result, leaving: rest) }
        case -Int(EAGAIN): guess.pointee.noteMiss()
        // What is wrong with it, the write that may wait will say.
        default: guess.pointee.noteUnsupported()
        }
        return nil
    }

    private static var smallWrite: Int { 64 * 1024 }

    // MARK: To the loop

    private mutating func hand(
        _ record: UnsafeMutablePointer<Record>, _ transfer: Transfer, _ bytes: Int, _ openFlags: UInt64, isWrite: Bool
    ) -> Int {
        guard let loop = library.pointee.loop() else { return carryOutHere(record, transfer) }
        var transfer = transfer
        transfer.flags.insert(.cacheMissed)
        let number = transfer.descriptor.number
        let file: FileIdentity
        if let joined = loop.join(number) {
            transfer.descriptor = joined.descriptor
            transfer.descriptor.kind = openFlags & CK_O_DIRECT != 0 ? .direct : .buffered
            record.pointee.isHeld = true
            file = joined.file
        } else {
            (transfer.descriptor, file) = Descriptor.identify(number)
        }
        let name = CallOrder.Name(descriptor: number, file: file, isWrite: isWrite)
        switch transfer.descriptor.kind {
        case .other: return -Int(EINVAL)
        case .stream:
            if isWrite, bytes == 0 {
                // writev(2) would not ask the file.
                (transfer.base, transfer.count) = (nil, 0)
                record.pointee.operation = .write(transfer)
            }
            return handStream(record, transfer, name, openFlags, loop)
        case .buffered, .direct, .unknown: return handFile(record, transfer, bytes, name, openFlags, loop)
        }
    }

    /// Without a thread the call waits, as the kernel's own does.
    private func carryOutHere(_ record: UnsafeMutablePointer<Record>, _ transfer: Transfer) -> Int {
        var transfer = transfer
        transfer.descriptor = .classify(transfer.descriptor.number)
        guard transfer.descriptor.kind != .other else { return -Int(EINVAL) }
        record.pointee.operation = record.pointee.operation.with(transfer)
        context.complete(record, record.pointee.operation.blockingResult(), .call)
        return 0
    }

    private mutating func handFile(
        _ record: UnsafeMutablePointer<Record>, _ transfer: Transfer, _ bytes: Int, _ name: CallOrder.Name,
        _ openFlags: UInt64, _ loop: Carrier<Record>
    ) -> Int {
        var transfer = transfer
        if name.isWrite { transfer.fixFlags(openFlags, knowsNoAppend: loop.knowsNoAppend) }
        record.pointee.operation = record.pointee.operation.with(transfer)
        context.noteTransfer(record)
        let isAppend = name.isWrite && transfer.flags.contains(.append)
        if record.pointee.operation.isBufferedWrite, !isAppend {
            if let result = written(record, transfer, bytes) {
                context.complete(record, result, .pageCache)
                return 0
            }
            if bytes <= Self.smallWrite { quickWriteCount += 1 }
        }
        guard record.pointee.hold(name.file, loop) else { return -Int(EBADF) }
        let end = CallOrder.Name(descriptor: -1, file: name.file, isWrite: true)
        let isItsTurn = isAppend ? library.pointee.order.enter(record, end) : .runs
        guard isItsTurn != .noMemory else { return -Int(ENOMEM) }
        context.carry(record, loop, isItsTurn: isItsTurn == .runs)
        return 0
    }

    /// What a stream takes or gives without waiting, which is all if it was opened so. So it is the submitting thread
    /// that SIGPIPE comes to. What has to be waited for may take for ever, so that the end of its context has to end it.
    private func handStream(
        _ record: UnsafeMutablePointer<Record>, _ transfer: Transfer, _ name: CallOrder.Name, _ openFlags: UInt64,
        _ loop: Carrier<Record>
    ) -> Int {
        var transfer = transfer
        if transfer.offset != 0, Descriptor.isSocket(transfer.descriptor.number) { return finish(record, -Int(ESPIPE)) }
        let isNonBlocking = openFlags & CK_O_NONBLOCK != 0
        if isNonBlocking, !library.pointee.order.isBusy(name) {
            record.pointee.operation = record.pointee.operation.with(transfer)
            return finish(record, record.pointee.operation.attemptOnce(transfer))
        }
        // Otherwise a write returns when all is written.
        let isWhole = name.isWrite && !isNonBlocking && !transfer.flags.contains(.noWait)
        if isWhole { transfer.flags.insert(.whole) }
        record.pointee.operation = record.pointee.operation.with(transfer)
        let entering = library.pointee.order.enter(record, name)
        guard entering != .noMemory else { return -Int(ENOMEM) }
        if entering == .runs,
            case .done(let result) = StreamAttempt(record.pointee.operation, transfer, isWrite: name.isWrite)
        {
            let rest = isWhole && result > 0 ? record.pointee.operation.rest(after: result) : nil
            guard let rest else { return finish(record, result) }
            record.pointee.takeOff(result, leaving: rest)
        }
        context.noteTransfer(record)
        guard record.pointee.hold(name.file, loop),
            context.carryCancellable(record, loop, isItsTurn: entering == .runs)
        else {
            context.leaveLane(record)
            return -Int(EBADF)
        }
        return 0
    }

    private func finish(_ record: UnsafeMutablePointer<Record>, _ result: Int) -> Int {
        context.complete(record, result, .call)
        return 0
    }

    /// A worker that is awake has a small write done in less time than it takes to be told of its end: so the call looks for
    /// a moment, and the event is there when it returns, as it always is with the kernel's own. No longer than that, and not
    /// where there is no processor to spare.
    func waitForQuickWrites() {
        guard library.pointee.processors > 1, quickWriteCount <= Self.quickWritesMax else { return }
        let deadline = Kernel.now() &+ Self.quickTime
        repeat {
            for _ in 0..<32 where context.writeCount.pointee.load(ordering: .acquiring) == 0 { return }
        } while Kernel.now() < deadline
    }

    private static var quickTime: Nanoseconds { 20_000 }
    private static var quickWritesMax: Int { 4 }
}
