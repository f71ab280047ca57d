internal import AIOCore
internal import CDropIns
internal import CKernel
internal import DropInSupport

/// io_submit(2): accepts the operations of one call, in order, until one is refused.
struct Submission: ~Copyable {
    let library: UnsafeMutablePointer<Library>
    let context: Context
    let address: UInt
    var known = KnownMemory()
    /// Whether all inspected operations were direct transfers, so that more of them are to be expected.
    private var isAllDirect = true
    /// How many small buffered writes went to a worker.
    var quickWriteCount = 0

    private init(_ library: UnsafeMutablePointer<Library>, _ context: Context, _ address: UInt) {
        self.library = library
        self.context = context
        self.address = address
    }

    /// Returns how many operations were accepted, or the error of the first.
    static func submit(_ address: UInt, _ count: Int, _ blocks: UInt) -> Int {
        guard count >= 0 else { return -Int(EINVAL) }
        let began = Statistics.beginSubmit()
        defer { Statistics.completeSubmit(began) }
        guard let library = Library.shared(), let context = library.pointee.table.enter(address) else {
            return -Int(EINVAL)
        }
        defer { context.leave(1) }
        var submission = Submission(library, context, address)
        return submission.take(count, blocks)
    }

    private mutating func take(_ count: Int, _ blocks: UInt) -> Int {
        var taken = 0
        while taken < count, context.isNative {
            let place = blocks &+ UInt(taken * 8)
            let left = count - taken
            let run = context.takeNativeCredit() ? left : nativeRun(place, atMost: left)
            if run == 0, context.turnToLoop(library) { break }
            // An operation that cannot go to the loop goes to the kernel after all, which then waits.
            let asked = max(run, 1)
            guard let result = context.submitNative(address, asked, place) else { break }
            assert(result <= asked, "the kernel accepted more than it was given")
            guard result >= 0 else { return taken > 0 ? taken : result }
            noteNative(blocksAt: place, result)
            taken += result
            // The next operation is refused, or the ring has no room for it.
            if result < asked { return taken }
        }
        return taken < count && !context.isNative ? takeForLoop(from: taken, count, blocks) : taken
    }

    private mutating func takeForLoop(from first: Int, _ count: Int, _ blocks: UInt) -> Int {
        // The ring's capacity bounds how many can be accepted.
        let count = min(count, Int(context.state.pointee.ring?.capacity ?? 0))
        var refused = 0
        var index = first
        while index < count {
            refused = take(blocks &+ UInt(index * 8))
            if refused < 0 { break }
            index += 1
        }
        if quickWriteCount > 0 { waitForQuickWrites() }
        return index > 0 ? index : refused
    }

    // MARK: The kernel's operations

    /// How many control blocks from `place` on are for the kernel, while the context is the kernel's.
    private mutating func nativeRun(_ place: UInt, atMost count: Int) -> Int {
        var run = 0
        // `count` may be anything. An unreadable block ends the run, as it ends the kernel's own loop.
        while run < min(count, Self.runMax) {
            guard let block = block(at: place &+ UInt(run * 8)) else {
                run += 1
                break
            }
            guard isForKernel(block) else { break }
            run += 1
        }
        if run == count, isAllDirect { context.giveNativeCredit() }
        return run
    }

    /// Further blocks are another run.
    private static var runMax: Int { 1024 }

    /// The control block whose address is at `place`. nil if either cannot be read, which the kernel answers with
    /// EFAULT.
    private mutating func block(at place: UInt) -> ck_iocb? {
        guard known.canRead(place, 8), let pointer = UnsafeRawPointer(bitPattern: place) else { return nil }
        let address = pointer.loadUnaligned(as: UInt.self)
        guard known.canRead(address, MemoryLayout<ck_iocb>.size), let block = UnsafeRawPointer(bitPattern: address)
        else { return nil }
        return block.loadUnaligned(as: ck_iocb.self)
    }

    /// Whether the kernel accepts the operation without waiting, or refuses it.
    private mutating func isForKernel(_ copy: ck_iocb) -> Bool {
        switch copy.opcode {
        case CK_IOCB_CMD_PREAD, CK_IOCB_CMD_PWRITE, CK_IOCB_CMD_PREADV, CK_IOCB_CMD_PWRITEV:
            let number = Int32(bitPattern: copy.descriptor)
            if library.pointee.direct.isDirect(number) { return true }
            isAllDirect = false
            return copy.rw_flags & CK_RWF_NOWAIT != 0 || OpenFlags(number) == nil
        // Polls that may wait for long go to the loop: see `takePlaceOfKernelsRing`. Files and directories are always
        // ready.
        case CK_IOCB_CMD_POLL:
            isAllDirect = false
            return Self.isAlwaysReady(Descriptor.identify(Int32(bitPattern: copy.descriptor)).0)
        default:
            isAllDirect = false
            return true
        }
    }

    private func noteNative(blocksAt place: UInt, _ count: Int) {
        guard Statistics.isOn else { return }
        for index in 0..<count {
            // Readable: the kernel has just read it.
            let address = UnsafeRawPointer(bitPattern: place &+ UInt(index * 8))?.loadUnaligned(as: UInt.self) ?? 0
            guard let block = UnsafeRawPointer(bitPattern: address) else { continue }
            Statistics.noteNative(OperationKind(opcode: block.loadUnaligned(as: ck_iocb.self).opcode))
        }
    }

    // MARK: The loop's operations

    /// Accepts the operation whose control block's address is at `place`.
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
        case .ended: return -Int(EINVAL)
        case .noMemory: return -Int(ENOMEM)
        case .record(let record):
            assert(!record.pointee.isHeld && record.pointee.vectors == nil, "the record has what the last one had")
            record.pointee.data = copy.data
            record.pointee.block = address
            record.pointee.account.begin(OperationKind(opcode: copy.opcode))
            let result = accept(copy, record)
            if result < 0 { context.abandon(record) }
            return result
        }
    }

    /// Carries out the operation or hands it over. Returns a negative errno if it is refused.
    private mutating func accept(_ block: ck_iocb, _ record: UnsafeMutablePointer<Record>) -> Int {
        guard let openFlags = OpenFlags(Int32(bitPattern: block.descriptor)) else { return -Int(EBADF) }
        if block.flags & CK_IOCB_FLAG_RESFD != 0 {
            var refused = 0
            let number = Int32(bitPattern: block.event_descriptor)
            guard let event = Event(number, refused: &refused) else { return refused }
            record.pointee.event = event
        }
        // The kernel sets the key of the block, which io_cancel checks.
        guard block.key == 0 || known.canWriteKey(of: UInt(record.pointee.block)) else { return -Int(EFAULT) }
        switch block.opcode {
        case CK_IOCB_CMD_PREAD, CK_IOCB_CMD_PWRITE, CK_IOCB_CMD_PREADV, CK_IOCB_CMD_PWRITEV:
            return acceptTransfer(block, openFlags, record)
        case CK_IOCB_CMD_FSYNC: return acceptSync(block, .full, record)
        case CK_IOCB_CMD_FDSYNC: return acceptSync(block, .data, record)
        case CK_IOCB_CMD_POLL: return acceptPoll(block, record)
        default: return -Int(EINVAL)
        }
    }

    // MARK: Syncs and polls

    private func acceptSync(_ block: ck_iocb, _ level: SyncLevel, _ record: UnsafeMutablePointer<Record>) -> Int {
        guard block.address == 0, block.offset == 0, block.count == 0, block.rw_flags == 0 else { return -Int(EINVAL) }
        let (descriptor, file) = Descriptor.identify(Int32(bitPattern: block.descriptor))
        // Pipes, sockets and character devices cannot be synced.
        guard descriptor.kind != .stream else { return -Int(EINVAL) }
        record.pointee.operation = .sync(descriptor, level)
        guard let loop = library.pointee.loop() else {
            context.complete(record, record.pointee.operation.blockingResult(), .call)
            return 0
        }
        guard record.pointee.hold(file, loop) else { return -Int(EBADF) }
        context.carry(sync: record, loop)
        return 0
    }

    /// Whether poll(2) always finds the file ready. It does where a file has no poll operation, as on the devices of
    /// mem(4).
    private static func isAlwaysReady(_ descriptor: Descriptor) -> Bool {
        descriptor.kind != .stream && descriptor.kind != .unknown || descriptor.backing == .memory
    }

    private func acceptPoll(_ block: ck_iocb, _ record: UnsafeMutablePointer<Record>) -> Int {
        guard block.address <= 0xffff, block.offset == 0, block.count == 0, block.rw_flags == 0 else {
            return -Int(EINVAL)
        }
        let events = UInt32(block.address) | CK_POLLERR | CK_POLLHUP
        let (descriptor, file) = Descriptor.identify(Int32(bitPattern: block.descriptor))
        record.pointee.operation = .poll(descriptor, events: events)
        guard Self.isAlwaysReady(descriptor) else {
            // If it is ready, the event is present when the call returns.
            let ready = Kernel.readyEvents(descriptor.number, events)
            guard ready == 0 else {
                context.complete(record, Int(ready), .call)
                return 0
            }
            guard let loop = library.pointee.loop() else { return -Int(EAGAIN) }
            guard record.pointee.hold(file, loop) else { return -Int(EBADF) }
            return context.carryCancellable(record, loop, .runs) ? 0 : -Int(EINVAL)
        }
        // Files and directories are always ready. To wait for other events of theirs is refused.
        let always = CK_POLLIN | CK_POLLOUT | CK_POLLRDNORM | CK_POLLWRNORM
        guard events & always != 0 else { return -Int(EINVAL) }
        context.complete(record, Int(events & always), .call)
        return 0
    }
}

extension OperationKind {
    /// From the opcode of a control block. An unknown one is refused later.
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
