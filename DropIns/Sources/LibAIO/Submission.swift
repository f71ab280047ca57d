internal import AIOCore
internal import CDropIns
internal import CKernel
internal import DropInSupport

/// io_submit(2): takes the operations of one call, in order, until one is refused.
struct Submission: ~Copyable {
    let library: UnsafeMutablePointer<Library>
    let context: Context
    private var known = KnownMemory()

    init(_ library: UnsafeMutablePointer<Library>, _ context: Context) {
        self.library = library
        self.context = context
    }

    /// Returns how many were accepted, or why the first was not.
    static func submit(_ address: UInt, _ count: Int, _ blocks: UInt) -> Int {
        guard count >= 0 else { return -Int(EINVAL) }
        guard let library = Library.shared(), let context = library.pointee.table.enter(address) else {
            return -Int(EINVAL)
        }
        defer { context.leave(1) }
        var submission = Submission(library, context)
        return submission.take(count, blocks)
    }

    private mutating func take(_ count: Int, _ blocks: UInt) -> Int {
        // More than the ring holds cannot be accepted at once.
        let count = min(count, Int(context.state.pointee.ring?.capacity ?? 0))
        for index in 0..<count {
            let result = take(blocks &+ UInt(index * 8))
            if result < 0 { return index > 0 ? index : result }
        }
        return count
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
        switch context.acquire() {
        case .full: return -Int(EAGAIN)
        case .noMemory: return -Int(ENOMEM)
        case .record(let record):
            record.pointee.data = copy.data
            record.pointee.block = address
            let result = accept(copy, record)
            if result < 0 { context.abandon(record) }
            return result
        }
    }

    /// Carries the operation out or hands it over. Returns a negative errno if it is refused.
    private mutating func accept(_ block: ck_iocb, _ record: UnsafeMutablePointer<Record>) -> Int {
        let number = Int32(bitPattern: block.descriptor)
        let openFlags = Kernel.openFlags(number)
        // Of a file that is open as a place only (O_PATH) nothing can be read.
        guard openFlags >= 0, UInt64(openFlags) & CK_O_PATH == 0 else { return -Int(EBADF) }
        if block.flags & CK_IOCB_FLAG_RESFD != 0 {
            let event = Event.hold(Int32(bitPattern: block.event_descriptor))
            guard event >= 0 else { return event }
            record.pointee.event = Int32(event)
        }
        // The kernel marks the block as its own, which io_cancel looks at.
        guard known.canWriteKey(of: UInt(record.pointee.block)) else { return -Int(EFAULT) }
        switch block.opcode {
        case CK_IOCB_CMD_PREAD, CK_IOCB_CMD_PWRITE, CK_IOCB_CMD_PREADV, CK_IOCB_CMD_PWRITEV:
            return acceptTransfer(block, UInt64(openFlags), record)
        case CK_IOCB_CMD_FSYNC: return acceptSync(block, .full, record)
        case CK_IOCB_CMD_FDSYNC: return acceptSync(block, .data, record)
        case CK_IOCB_CMD_POLL: return acceptPoll(block, record)
        default: return -Int(EINVAL)
        }
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
        var transfer = Transfer(
            Descriptor(Int32(bitPattern: block.descriptor)), UnsafeMutableRawPointer(bitPattern: UInt(block.address)),
            count: Int(block.count), offset: block.offset, flags: TransferFlags(rawValue: block.rw_flags))
        if block.flags & CK_IOCB_FLAG_IOPRIO != 0 { transfer.priority = UInt16(bitPattern: block.priority) }
        let isVectored = block.opcode == CK_IOCB_CMD_PREADV || block.opcode == CK_IOCB_CMD_PWRITEV
        var bytes = transfer.count
        if isVectored {
            refused = copyVectors(&transfer, &bytes, record)
            guard refused == 0 else { return refused }
        } else {
            transfer.count = min(bytes, TransferRules.countMax)
            guard TransferRules.isInUserSpace(block.address, bytes) else { return -Int(EFAULT) }
        }
        refused = TransferRules.checkRange(block.offset, bytes)
        guard refused == 0 else { return refused }
        record.pointee.operation = Self.operation(transfer, isWrite: isWrite, isVectored: isVectored)
        let isDirect = openFlags & CK_O_DIRECT != 0
        if !isWrite, !isDirect, let result = served(record, transfer, bytes) {
            context.complete(record, result)
            return 0
        }
        return hand(record, transfer, isDirect: isDirect)
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
        let isImmediate = transfer.flags.contains(.noWait)
        guard bytes <= Transfer.inlineLimit || isImmediate else { return nil }
        let guess = library.pointee.guess(transfer.descriptor.number)
        guard isImmediate || guess.pointee.isWorthAsking() else { return nil }
        let result = record.pointee.operation.attemptWithoutWaiting(transfer)
        if isImmediate || result >= 0 {
            if result >= 0 { guess.pointee.noteHit() }
            return result
        }
        switch result {
        case -Int(EAGAIN): guess.pointee.noteMiss()
        case -Int(EOPNOTSUPP): guess.pointee.noteUnsupported()
        case -Int(ESPIPE): break
        default: return result
        }
        return nil
    }

    /// Gives a transfer to the loop.
    private func hand(_ record: UnsafeMutablePointer<Record>, _ transfer: Transfer, isDirect: Bool) -> Int {
        var transfer = transfer
        var descriptor = Descriptor.classify(transfer.descriptor.number)
        switch descriptor.kind {
        case .other: return -Int(EINVAL)
        case .stream, .buffered, .direct, .unknown: break
        }
        if isDirect, descriptor.kind == .buffered { descriptor.kind = .direct }
        transfer.descriptor = descriptor
        transfer.flags.insert(.cacheMissed)
        record.pointee.operation = record.pointee.operation.with(transfer)
        // What waits on a stream may wait for ever, so that the end of its context has to end it.
        return carry(record, isCancellable: descriptor.kind == .stream)
    }

    private func carry(_ record: UnsafeMutablePointer<Record>, isCancellable: Bool) -> Int {
        guard let loop = library.pointee.loop() else { return -Int(EAGAIN) }
        if isCancellable { return context.carryCancellable(record, loop) ? 0 : -Int(EINVAL) }
        loop.carry(record)
        return 0
    }

    // MARK: Syncs and polls

    private func acceptSync(_ block: ck_iocb, _ level: SyncLevel, _ record: UnsafeMutablePointer<Record>) -> Int {
        guard block.address == 0, block.offset == 0, block.count == 0, block.rw_flags == 0 else { return -Int(EINVAL) }
        let descriptor = Descriptor.classify(Int32(bitPattern: block.descriptor))
        // Pipes, sockets and devices have nothing to sync.
        guard descriptor.kind != .stream else { return -Int(EINVAL) }
        record.pointee.operation = .sync(descriptor, level)
        return carry(record, isCancellable: false)
    }

    private func acceptPoll(_ block: ck_iocb, _ record: UnsafeMutablePointer<Record>) -> Int {
        guard block.address <= 0xffff, block.offset == 0, block.count == 0, block.rw_flags == 0 else {
            return -Int(EINVAL)
        }
        let events = UInt32(block.address) | CK_POLLERR | CK_POLLHUP
        let descriptor = Descriptor.classify(Int32(bitPattern: block.descriptor))
        record.pointee.operation = .poll(descriptor, events: events)
        guard descriptor.kind != .stream else { return carry(record, isCancellable: true) }
        // Files and folders are always ready; to wait for anything else of them is refused.
        let always = CK_POLLIN | CK_POLLOUT | CK_POLLRDNORM | CK_POLLWRNORM
        guard events & always != 0 else { return -Int(EINVAL) }
        context.complete(record, Int(events & always))
        return 0
    }
}
