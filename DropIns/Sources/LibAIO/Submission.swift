internal import AIOCore
internal import CDropIns
internal import CKernel
internal import DropInSupport

/// io_submit(2): takes the operations of one call, in order, until one is refused.
struct Submission: ~Copyable {
    let library: UnsafeMutablePointer<Library>
    let context: Context
    private var known = KnownMemory()
    /// Direct transfers on their way to the kernel, which takes them together.
    private let batch: UnsafeMutableBufferPointer<UnsafeMutablePointer<ck_iocb>?>
    private var batchCount = 0
    /// Of the operations accepted last, those that the kernel then did not take.
    private var unsentCount = 0

    private init(
        _ library: UnsafeMutablePointer<Library>, _ context: Context,
        _ batch: UnsafeMutableBufferPointer<UnsafeMutablePointer<ck_iocb>?>
    ) {
        self.batch = batch
        self.library = library
        self.context = context
    }

    /// Returns how many were accepted, or why the first was not.
    static func submit(_ address: UInt, _ count: Int, _ blocks: UInt) -> Int {
        guard count >= 0 else { return -Int(EINVAL) }
        let began = Statistics.beginSubmit()
        defer { Statistics.completeSubmit(began) }
        guard let library = Library.shared(), let context = library.pointee.table.enter(address) else {
            return -Int(EINVAL)
        }
        defer { context.leave(1) }
        // Above 1 KiB the memory would come from the heap.
        return withUnsafeTemporaryAllocation(of: UnsafeMutablePointer<ck_iocb>?.self, capacity: 128) { batch in
            var submission = Submission(library, context, batch)
            return submission.take(count, blocks)
        }
    }

    private mutating func take(_ count: Int, _ blocks: UInt) -> Int {
        // More than the ring holds cannot be accepted at once.
        let count = min(count, Int(context.state.pointee.ring?.capacity ?? 0))
        var refused = 0
        var index = 0
        while index < count {
            refused = take(blocks &+ UInt(index * 8))
            if refused < 0 { break }
            index += 1
        }
        let refusedLate = flush()
        if refusedLate < 0 { refused = refusedLate }
        index -= unsentCount
        return index > 0 ? index : refused
    }

    /// Hands the batch to the kernel. Returns 0, or why it did not take all of it.
    private mutating func flush() -> Int {
        guard batchCount > 0 else { return 0 }
        var refused = 0
        var sent = 0
        while sent < batchCount {
            let result = context.submitNative(UnsafeMutableBufferPointer(rebasing: batch[sent..<batchCount]))
            if result > 0 {
                sent += result
            } else if result != -Int(EOPNOTSUPP) || !mayWaitInstead(batch[sent]) {
                refused = result
                break
            }
        }
        // They were the last that had been accepted.
        unsentCount = batchCount - sent
        for block in batch[sent..<batchCount] { Submission.abandon(block, context) }
        if sent > 0 { context.keepTicking(library) }
        batchCount = 0
        return refused
    }

    /// A file that knows no RWF_NOWAIT is handed over without.
    private func mayWaitInstead(_ block: UnsafeMutablePointer<ck_iocb>?) -> Bool {
        guard let block, let record = Record.record(of: block), record.pointee.isAttempt else { return false }
        record.pointee.isAttempt = false
        block.pointee.rw_flags &= ~CK_RWF_NOWAIT
        return true
    }

    private static func abandon(_ block: UnsafeMutablePointer<ck_iocb>?, _ context: Context) {
        if let record = Record.record(of: block) { context.abandon(record) }
    }

    /// Takes the operation whose control block's address is at `place`.
    private mutating func take(_ place: UInt) -> Int {
        guard known.canRead(place, 8) else { return -Int(EFAULT) }
        let address = UnsafeRawPointer(bitPattern: place)?.loadUnaligned(as: UInt.self) ?? 0
        guard known.canRead(address, MemoryLayout<ck_iocb>.size),
            let block = UnsafeMutableRawPointer(bitPattern: address)
        else { return -Int(EFAULT) }
        let copy = block.loadUnaligned(as: ck_iocb.self)
        guard copy.reserved == 0, copy.count <= UInt64(Int64.max) else { return -Int(EINVAL) }
        switch context.acquire(Int32(bitPattern: copy.descriptor)) {
        case .full: return -Int(EAGAIN)
        case .ended: return -Int(EINVAL)
        case .noMemory: return -Int(ENOMEM)
        case .record(let record, let isKnownDirect):
            record.pointee.data = copy.data
            record.pointee.block = address
            record.pointee.account.begin(OperationKind(opcode: copy.opcode))
            let result = accept(copy, record, isKnownDirect)
            if result < 0 { context.abandon(record) }
            return result
        }
    }

    /// Carries the operation out or hands it over. Returns a negative errno if it is refused.
    private mutating func accept(
        _ block: ck_iocb, _ record: UnsafeMutablePointer<Record>, _ isKnownDirect: Bool
    ) -> Int {
        let number = Int32(bitPattern: block.descriptor)
        // At worst a file that has taken the number meanwhile is read as the kernel's Linux AIO reads it.
        var openFlags = isKnownDirect ? Int(CK_O_DIRECT) : Kernel.openFlags(number)
        // Of a file that is open as a place only (O_PATH) nothing can be read.
        guard openFlags >= 0, UInt64(openFlags) & CK_O_PATH == 0 else { return -Int(EBADF) }
        // The kernel marks the block as its own, which io_cancel looks at.
        guard block.key == 0 || known.canWriteKey(of: UInt(record.pointee.block)) else { return -Int(EFAULT) }
        let goesNative = isNative(block, UInt64(openFlags), isKnownDirect)
        if !goesNative || batchCount == batch.count {
            // What comes after the batch is accepted only if the batch is.
            let refused = flush()
            guard refused == 0 else { return refused }
        }
        if goesNative {
            if !isKnownDirect { context.noteDirect(number) }
            return putIntoBatch(block, record)
        }
        if isKnownDirect { openFlags = Kernel.openFlags(number) }
        guard openFlags >= 0 else { return -Int(EBADF) }
        context.turnToLoop(library)
        if block.flags & CK_IOCB_FLAG_RESFD != 0 {
            let event = Event.hold(Int32(bitPattern: block.event_descriptor))
            guard event >= 0 else { return event }
            record.pointee.event = Int32(event)
        }
        switch block.opcode {
        case CK_IOCB_CMD_PREAD, CK_IOCB_CMD_PWRITE, CK_IOCB_CMD_PREADV, CK_IOCB_CMD_PWRITEV:
            return acceptTransfer(block, UInt64(openFlags), record)
        case CK_IOCB_CMD_FSYNC: return acceptSync(block, .full, record)
        case CK_IOCB_CMD_FDSYNC: return acceptSync(block, .data, record)
        case CK_IOCB_CMD_POLL: return acceptPoll(block, record)
        default: return -Int(EINVAL)
        }
    }

    // MARK: Direct transfers

    private func isNative(_ block: ck_iocb, _ openFlags: UInt64, _ isKnownDirect: Bool) -> Bool {
        guard openFlags & CK_O_DIRECT != 0, block.flags & CK_IOCB_FLAG_RESFD == 0 else { return false }
        switch block.opcode {
        case CK_IOCB_CMD_PREAD, CK_IOCB_CMD_PWRITE, CK_IOCB_CMD_PREADV, CK_IOCB_CMD_PWRITEV:
            return isKnownDirect || context.isNative(library)
        default: return false
        }
    }

    /// The kernel checks all of it, as it would have.
    private mutating func putIntoBatch(_ block: ck_iocb, _ record: UnsafeMutablePointer<Record>) -> Int {
        record.pointee.native = block
        record.pointee.native.data = UInt64(UInt(bitPattern: record))
        record.pointee.account.served = .linuxAIO
        // The call must not wait; if the kernel cannot do without, whoever waits for the event does. Not for vectors:
        // the program may change them before that.
        let isVectored = block.opcode == CK_IOCB_CMD_PREADV || block.opcode == CK_IOCB_CMD_PWRITEV
        record.pointee.isAttempt = !isVectored && block.rw_flags & CK_RWF_NOWAIT == 0
        if record.pointee.isAttempt { record.pointee.native.rw_flags |= CK_RWF_NOWAIT }
        batch[batchCount] = withUnsafeMutablePointer(to: &record.pointee.native) { $0 }
        batchCount += 1
        return 0
    }

    // MARK: Transfers

    private mutating func acceptTransfer(
        _ block: ck_iocb, _ openFlags: UInt64, _ record: UnsafeMutablePointer<Record>
    ) -> Int {
        let isWrite = block.opcode == CK_IOCB_CMD_PWRITE || block.opcode == CK_IOCB_CMD_PWRITEV
        var refused = TransferRules.check(block, isWrite: isWrite)
        guard refused == 0 else { return refused }
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
        let isDirect = openFlags & CK_O_DIRECT != 0
        if !isDirect, transfer.flags.contains(.noWait) { return attempt(record, transfer) }
        if !isWrite, !isDirect, let result = served(record, transfer, bytes) {
            context.complete(record, result, result < 0 ? .call : .pageCache)
            return 0
        }
        return hand(record, transfer, openFlags)
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

    /// What the page cache holds is read here and now: the result, or nil if this is for the loop.
    private func served(_ record: UnsafeMutablePointer<Record>, _ transfer: Transfer, _ bytes: Int) -> Int? {
        guard bytes <= Transfer.inlineLimit else { return nil }
        let guess = library.pointee.guess(transfer.descriptor.number)
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

    /// The program wants no waiting (RWF_NOWAIT): the call is made here, whatever it says.
    private func attempt(_ record: UnsafeMutablePointer<Record>, _ transfer: Transfer) -> Int {
        let result = record.pointee.operation.attemptWithoutWaiting(transfer)
        // A file that cannot tell is refused, as the kernel does.
        guard result != -Int(EOPNOTSUPP) else { return result }
        context.complete(record, result, result < 0 ? .call : .pageCache)
        return 0
    }

    /// Gives a transfer to the loop.
    private func hand(_ record: UnsafeMutablePointer<Record>, _ transfer: Transfer, _ openFlags: UInt64) -> Int {
        var transfer = transfer
        transfer.flags.insert(.cacheMissed)
        if let joined = library.pointee.runningLoop()?.join(transfer.descriptor.number) {
            transfer.descriptor = joined.descriptor
            transfer.descriptor.kind = openFlags & CK_O_DIRECT != 0 ? .direct : .buffered
            record.pointee.isHeld = true
            record.pointee.operation = record.pointee.operation.with(transfer)
            return carry(record, joined.file, isCancellable: false)
        }
        let (descriptor, file) = Descriptor.identify(transfer.descriptor.number)
        transfer.descriptor = descriptor
        record.pointee.operation = record.pointee.operation.with(transfer)
        switch transfer.descriptor.kind {
        case .other: return -Int(EINVAL)
        case .stream:
            if let result = attemptOnStream(record, transfer, openFlags) {
                context.complete(record, result, .call)
                return 0
            }
            // It may wait for ever, so that the end of its context has to end it.
            return carry(record, file, isCancellable: true)
        case .buffered, .direct, .unknown:
            return carry(record, file, isCancellable: false)
        }
    }

    /// What a stream takes or gives without waiting, which is all if it was opened so. So it is the submitting thread
    /// that SIGPIPE comes to. nil if it has to be waited for.
    private func attemptOnStream(
        _ record: UnsafeMutablePointer<Record>, _ transfer: Transfer, _ openFlags: UInt64
    ) -> Int? {
        let operation = record.pointee.operation
        if transfer.offset != 0, Descriptor.isSocket(transfer.descriptor.number) { return -Int(ESPIPE) }
        if openFlags & CK_O_NONBLOCK != 0 { return operation.attemptOnce(transfer) }
        let isWrite = operation.isWrite
        if case .done(let result) = StreamAttempt(operation, transfer, isWrite: isWrite) { return result }
        return nil
    }

    private func carry(
        _ record: UnsafeMutablePointer<Record>, _ file: FileIdentity, isCancellable: Bool
    ) -> Int {
        guard let loop = library.pointee.loop() else { return -Int(EAGAIN) }
        guard record.pointee.hold(file, loop) else { return -Int(EBADF) }
        if isCancellable { return context.carryCancellable(record, loop) ? 0 : -Int(EINVAL) }
        context.carry(record, loop)
        return 0
    }

    // MARK: Syncs and polls

    private func acceptSync(_ block: ck_iocb, _ level: SyncLevel, _ record: UnsafeMutablePointer<Record>) -> Int {
        guard block.address == 0, block.offset == 0, block.count == 0, block.rw_flags == 0 else { return -Int(EINVAL) }
        let (descriptor, file) = Descriptor.identify(Int32(bitPattern: block.descriptor))
        // Pipes, sockets and devices have nothing to sync.
        guard descriptor.kind != .stream else { return -Int(EINVAL) }
        record.pointee.operation = .sync(descriptor, level)
        return carry(record, file, isCancellable: false)
    }

    private func acceptPoll(_ block: ck_iocb, _ record: UnsafeMutablePointer<Record>) -> Int {
        guard block.address <= 0xffff, block.offset == 0, block.count == 0, block.rw_flags == 0 else {
            return -Int(EINVAL)
        }
        let events = UInt32(block.address) | CK_POLLERR | CK_POLLHUP
        let (descriptor, file) = Descriptor.identify(Int32(bitPattern: block.descriptor))
        record.pointee.operation = .poll(descriptor, events: events)
        guard descriptor.kind != .stream else { return carry(record, file, isCancellable: true) }
        // Files and folders are always ready; to wait for anything else of them is refused.
        let always = CK_POLLIN | CK_POLLOUT | CK_POLLRDNORM | CK_POLLWRNORM
        guard events & always != 0 else { return -Int(EINVAL) }
        context.complete(record, Int(events & always), .call)
        return 0
    }
}

extension OperationKind {
    /// Of a control block's operation; what is none is refused.
    fileprivate init(opcode: UInt16) {
        switch opcode {
        case CK_IOCB_CMD_PWRITE: self = .write
        case CK_IOCB_CMD_PREADV: self = .readVectored
        case CK_IOCB_CMD_PWRITEV: self = .writeVectored
        case CK_IOCB_CMD_FSYNC: self = .sync
        case CK_IOCB_CMD_FDSYNC: self = .dataSync
        case CK_IOCB_CMD_POLL: self = .poll
        default: self = .read
        }
    }
}
