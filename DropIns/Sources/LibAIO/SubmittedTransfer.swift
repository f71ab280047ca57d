internal import AIOCore
internal import CDropIns
internal import CKernel
internal import DropInSupport
internal import Synchronization

/// Reads and writes that are not the kernel's. They are checked as the kernel checks them, carried out in the call if
/// that does not wait, and handed over otherwise.
extension Submission {
    mutating func acceptTransfer(
        _ block: ck_iocb, _ openFlags: OpenFlags, _ record: UnsafeMutablePointer<Record>
    ) -> Int {
        let isWrite = Transfer.Form(opcode: block.opcode).contains(.writing)
        var refused = TransferRules.check(block, isWrite: isWrite)
        guard refused == 0 else { return refused }
        let isAttempt =
            !openFlags.isDirect && block.rw_flags & CK_RWF_NOWAIT != 0 && !isBehindOthers(block, isWrite: isWrite)
        if !isAttempt, block.rw_flags & ~TransferRules.plainFlags != 0 {
            refused = library.pointee.probe.refusal(block, isWrite: isWrite)
            guard refused == 0 else { return refused }
        }
        if isAttempt { return attempt(block, record, isWrite: isWrite) }
        guard openFlags.permits(isWrite: isWrite) else { return -Int(EBADF) }
        var transfer = Transfer(
            Descriptor(Int32(bitPattern: block.descriptor), kind: .buffered),
            UnsafeMutableRawPointer(bitPattern: UInt(block.address)),
            count: Int(block.count), offset: block.offset, flags: TransferFlags(rawValue: block.rw_flags),
            form: Transfer.Form(opcode: block.opcode))
        if block.flags & CK_IOCB_FLAG_IOPRIO != 0 { transfer.priority = UInt16(bitPattern: block.priority) }
        var bytes = transfer.count
        if transfer.isVectored {
            refused = copyVectors(&transfer, &bytes, record)
            guard refused == 0 else { return refused }
        } else {
            bytes = min(bytes, TransferRules.countMax)
            transfer.count = bytes
            guard TransferRules.isInUserSpace(block.address, bytes) else { return -Int(EFAULT) }
        }
        refused = TransferRules.checkRange(block.offset, bytes)
        guard refused == 0 else { return refused }
        record.pointee.operation = .transfer(transfer)
        let guess = library.pointee.guess(transfer.descriptor.number, isWrite: false)
        if let result = TransferAcceptance.served(transfer, byteCount: bytes, openFlags, guess.pointee) {
            context.complete(record, result, result < 0 ? .call : .pageCache)
            return 0
        }
        return hand(record, TransferAcceptance(transfer, byteCount: bytes, openFlags), bytes)
    }

    /// Copies the iovecs, since the program may change them once the call has returned.
    private mutating func copyVectors(
        _ transfer: inout Transfer, _ bytes: inout Int, _ record: UnsafeMutablePointer<Record>
    ) -> Int {
        // The kernel uses only 32 bits of the number of iovecs.
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

    /// Carries out a transfer that must not wait (RWF_NOWAIT). The kernel's answer is the result.
    private func attempt(_ block: ck_iocb, _ record: UnsafeMutablePointer<Record>, isWrite: Bool) -> Int {
        switch library.pointee.probe.attempt(block) {
        case .refused(let error): return error
        case .done(let result): return finish(record, result)
        // The plain call gives the same answer, but does not tell whether it is a refusal.
        case .unknown: break
        }
        var vector = iovec(
            iov_base: UnsafeMutableRawPointer(bitPattern: UInt(block.address)), iov_len: numericCast(block.count))
        let isVectored = Transfer.Form(opcode: block.opcode).contains(.vectored)
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

    /// Whether others are before it in a stream's order. Then it must not interrupt a write that is half done, or take
    /// the data that an earlier read waits for. The kernel would still be inside of their io_submit.
    private func isBehindOthers(_ block: ck_iocb, isWrite: Bool) -> Bool {
        guard !library.pointee.order.isEmpty else { return false }
        let number = Int32(bitPattern: block.descriptor)
        let (descriptor, file) = Descriptor.identify(number)
        guard descriptor.kind == .stream else { return false }
        return library.pointee.order.isBusy(CallOrder.Name(descriptor: number, file: file, isWrite: isWrite))
    }

    /// Makes a small write in the call if the file system takes it without waiting (XFS, Btrfs) and no other write is
    /// in flight. nil if all or the rest of it is to be handed over.
    private func written(_ record: UnsafeMutablePointer<Record>, _ transfer: Transfer, _ bytes: Int) -> Int? {
        guard bytes <= Self.smallWrite, context.writeCount.pointee.load(ordering: .acquiring) == 0 else { return nil }
        let guess = library.pointee.guess(transfer.descriptor.number, isWrite: true)
        guard guess.pointee.isWorthAsking() else { return nil }
        var attempt = transfer
        attempt.flags.insert(.noWait)
        let result = attempt.attempt()
        assert(result <= bytes, "more was written than was asked for")
        switch result {
        case bytes:
            guess.pointee.noteHit()
            return result
        case 1...:
            if let rest = record.pointee.operation.rest(after: result) { record.pointee.takeOff(result, leaving: rest) }
        case -Int(EAGAIN): guess.pointee.noteMiss()
        // The write that may wait reports any error.
        default: guess.pointee.noteUnsupported()
        }
        return nil
    }

    private static var smallWrite: Int { 64 * 1024 }

    // MARK: To the loop

    private mutating func hand(
        _ record: UnsafeMutablePointer<Record>, _ acceptance: TransferAcceptance, _ bytes: Int
    ) -> Int {
        var acceptance = acceptance
        let number = acceptance.transfer.descriptor.number
        switch acceptance.decide(joining: library.pointee.loop()) {
        case .other: return -Int(EINVAL)
        case .noMemory: return -Int(EAGAIN)
        case .notTold(let errno): return finish(record, -Int(errno))
        case .file: return handFile(record, &acceptance, bytes)
        case .stream(let isNonBlocking):
            let transfer = acceptance.transfer
            let name = CallOrder.Name(descriptor: number, file: acceptance.file, isWrite: transfer.isWrite)
            return handStream(record, transfer, name, isNonBlocking: isNonBlocking)
        }
    }

    private mutating func handFile(
        _ record: UnsafeMutablePointer<Record>, _ acceptance: inout TransferAcceptance, _ bytes: Int
    ) -> Int {
        guard let loop = library.pointee.loop() else { return carryOutHere(record, acceptance.transfer) }
        assert(!record.pointee.isHeld, "the record has a hold already")
        acceptance.fixFlags(for: loop)
        record.pointee.operation = .transfer(acceptance.transfer)
        record.pointee.isHeld = acceptance.isHeld
        if record.pointee.operation.isBufferedWrite, !acceptance.isAppend {
            if let result = written(record, acceptance.transfer, bytes) {
                context.complete(record, result, .pageCache)
                return 0
            }
            if bytes <= Self.smallWrite { quickWriteCount += 1 }
        }
        guard record.pointee.hold(acceptance.file, loop) else { return -Int(EBADF) }
        context.begin(transfer: record)
        let end = CallOrder.Name(descriptor: -1, file: acceptance.file, isWrite: true)
        let entered = acceptance.isAppend ? library.pointee.order.enter(record, end) : .runs
        guard entered != .noMemory else { return -Int(ENOMEM) }
        context.carry(transfer: record, loop, entered)
        return 0
    }

    /// Without a loop the call waits, as the kernel's own Linux AIO does.
    private func carryOutHere(_ record: UnsafeMutablePointer<Record>, _ transfer: Transfer) -> Int {
        record.pointee.operation = .transfer(transfer)
        return finish(record, record.pointee.operation.blockingResult())
    }

    /// First takes or gives what the stream transfers without waiting; with O_NONBLOCK that is all. So SIGPIPE goes to
    /// the submitting thread. The rest may wait for ever, and is cancelled when its context is destroyed.
    private func handStream(
        _ record: UnsafeMutablePointer<Record>, _ transfer: Transfer, _ name: CallOrder.Name, isNonBlocking: Bool
    ) -> Int {
        guard let loop = library.pointee.loop() else { return carryOutHere(record, transfer) }
        record.pointee.operation = .transfer(transfer)
        if transfer.offset != 0, Descriptor.isSocket(transfer.descriptor.number) { return finish(record, -Int(ESPIPE)) }
        if isNonBlocking, !library.pointee.order.isBusy(name) { return finish(record, transfer.attempt()) }
        let entering = library.pointee.order.enter(record, name)
        guard entering != .noMemory else { return -Int(ENOMEM) }
        if entering == .runs,
            case .done(let result) = StreamAttempt(transfer)
        {
            let isWhole = transfer.form.contains(.whole)
            let rest = isWhole && result > 0 ? record.pointee.operation.rest(after: result) : nil
            guard let rest else { return finish(record, result) }
            record.pointee.takeOff(result, leaving: rest)
        }
        guard record.pointee.hold(name.file, loop) else {
            context.leaveLane(record)
            return -Int(EBADF)
        }
        context.begin(transfer: record)
        guard context.carryCancellable(record, loop, entering) else {
            context.leaveLane(record)
            return -Int(EBADF)
        }
        return 0
    }

    private func finish(_ record: UnsafeMutablePointer<Record>, _ result: Int) -> Int {
        context.complete(record, result, .call)
        return 0
    }

    /// Spins for up to 20 us, so that the event is present when the call returns, as with the kernel's own Linux AIO.
    /// An awake worker finishes a small write in less time than a wake-up takes. Does nothing without a second
    /// processor.
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

extension Transfer.Form {
    fileprivate init(opcode: UInt16) {
        switch opcode {
        case CK_IOCB_CMD_PREADV: self = .vectored
        case CK_IOCB_CMD_PWRITE: self = .writing
        case CK_IOCB_CMD_PWRITEV: self = [.writing, .vectored]
        default: self = []
        }
    }
}
