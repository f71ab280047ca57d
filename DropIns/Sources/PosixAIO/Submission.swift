internal import AIOCore
internal import CDropIns
internal import CKernel
internal import DropInSupport
internal import Synchronization

/// What is done with a control block that the program hands over: carried out in the call if that cannot wait, or else
/// made a request.
struct Submission {
    private let library: Library
    private let block: ControlBlock
    private let list: UnsafeMutablePointer<RequestList>?
    /// As libc writes it into the block.
    private let opcode: Int32
    private var account = OperationAccount()

    // Opcodes in a list; libc uses the last two inside only, but takes them.
    static var read: Int32 { 0 }
    static var write: Int32 { 1 }
    static var nothing: Int32 { 2 }
    static var dataSync: Int32 { 3 }
    static var fullSync: Int32 { 4 }

    /// glibc's AIO_PRIO_DELTA_MAX.
    private static var priorityMax: Int32 { 20 }

    /// Accepts a block, or refuses it: 0 or a positive error, which then is in the block too.
    static func accept(
        _ block: ControlBlock, _ opcode: Int32, in list: UnsafeMutablePointer<RequestList>? = nil
    ) -> Int32 {
        guard let library = Library.shared() else { return block.refuse(EAGAIN) }
        var submission = Submission(library, block, list, opcode)
        if opcode == dataSync || opcode == fullSync {
            block.address.pointee.aio_reqprio = 0
            return submission.acceptSync()
        }
        guard (0...priorityMax).contains(block.address.pointee.aio_reqprio) else { return block.refuse(EINVAL) }
        switch opcode & 127 {
        case read: return submission.acceptTransfer(isWrite: false)
        case write: return submission.acceptTransfer(isWrite: true)
        default: return submission.complete(-Int(EINVAL))
        }
    }

    private init(
        _ library: Library, _ block: ControlBlock, _ list: UnsafeMutablePointer<RequestList>?, _ opcode: Int32
    ) {
        self.library = library
        self.block = block
        self.list = list
        self.opcode = opcode
    }

    // MARK: Reads and writes

    private mutating func acceptTransfer(isWrite: Bool) -> Int32 {
        account.begin(isWrite ? .write : .read)
        let number = block.address.pointee.aio_fildes
        var transfer = Transfer(
            Descriptor(number, kind: .buffered), block.buffer, count: block.address.pointee.aio_nbytes,
            offset: Int64(block.address.pointee.aio_offset))
        // What no file takes: the system call says why, and cannot wait. It means no more to the engines either.
        guard transfer.offset >= 0, transfer.count >= 0 else { return complete(refusal(transfer, isWrite: isWrite)) }
        if !isWrite, let result = knownCached(transfer) { return complete(result, .pageCache) }
        let flags = Kernel.openFlags(number)
        guard flags >= 0, Self.isOpen(UInt64(flags), isWrite: isWrite) else { return complete(-Int(EBADF)) }
        let openFlags = UInt64(flags)
        if !isWrite, openFlags & CK_O_DIRECT == 0 {
            library.guess(number).pointee.noteBuffered(number)
            if let result = cached(transfer) { return complete(result, .pageCache) }
        }
        transfer.flags.insert(.cacheMissed)
        let isAppend = isWrite && openFlags & CK_O_APPEND != 0
        if let joined = library.runningFiles?.join(number) {
            transfer.descriptor = joined.descriptor
            if isWrite { transfer.fixFlags(openFlags, knowsNoAppend: library.runningFiles?.knowsNoAppend ?? false) }
            transfer.descriptor.kind = openFlags & CK_O_DIRECT != 0 ? .direct : .buffered
            return start(
                isWrite ? .write(transfer) : .read(transfer), joined.file, isAppend ? .writing : .parallel,
                isCovered: true, isHeld: true)
        }
        let (descriptor, file) = Descriptor.identify(number)
        transfer.descriptor = descriptor
        if isWrite {
            if descriptor.kind == .stream {
                // As glibc's own write(2), which blocks until all of it is written.
                transfer.flags.insert(.whole)
                transfer.count = min(transfer.count, 0x7fff_f000)
            } else {
                transfer.fixFlags(
                    openFlags, knowsNoAppend: library.carrierForCaller(mayWaitForEver: false)?.knowsNoAppend ?? false)
            }
        }
        let operation: Operation = isWrite ? .write(transfer) : .read(transfer)
        switch transfer.descriptor.kind {
        case .stream where openFlags & CK_O_NONBLOCK != 0:
            // The program asked for EAGAIN rather than waiting.
            guard isWrite else { return complete(operation.attempt(transfer)) }
            return complete(Kernel.withoutBrokenPipeSignal { operation.attempt(transfer) })
        case .stream:
            return start(operation, file, isWrite ? .writing : .reading, isCovered: isWrite, mayWaitForEver: true)
        default:
            return start(operation, file, isAppend ? .writing : .parallel, isCovered: true)
        }
    }

    private static func isOpen(_ flags: UInt64, isWrite: Bool) -> Bool {
        guard flags & CK_O_PATH == 0 else { return false }
        let access = flags & CK_O_ACCMODE
        return access == CK_O_RDWR || access == (isWrite ? CK_O_WRONLY : CK_O_RDONLY)
    }

    /// The result of a transfer that no file takes.
    private func refusal(_ transfer: Transfer, isWrite: Bool) -> Int {
        let number = transfer.descriptor.number
        // A buffer of such a length, and an offset below zero, the kernel refuses before it looks at the address.
        let base = transfer.base ?? UnsafeMutableRawPointer(bitPattern: 1)!
        let result =
            isWrite
            ? Kernel.pwrite(number, base, transfer.count, transfer.offset)
            : Kernel.pread(number, base, transfer.count, transfer.offset)
        guard result == -Int(ESPIPE) else { return result }
        return isWrite ? Kernel.write(number, base, transfer.count) : Kernel.read(number, base, transfer.count)
    }

    /// The same as `cached`, without asking how the file is open: the read itself says if it must not be.
    private func knownCached(_ transfer: Transfer) -> Int? {
        let guess = library.guess(transfer.descriptor.number)
        guard guess.pointee.cache.isHitting, guess.pointee.isKnownBuffered(transfer.descriptor.number) else {
            return nil
        }
        return cached(transfer)
    }

    /// What the page cache holds is read here and now. nil if it does not, or cannot tell.
    private func cached(_ transfer: Transfer) -> Int? {
        guard transfer.count <= Transfer.inlineLimit else { return nil }
        let guess = library.guess(transfer.descriptor.number)
        guard guess.pointee.cache.isWorthAsking() else { return nil }
        let result = transfer.attemptWithoutWaiting(isWrite: false)
        switch result {
        case -Int(EAGAIN): guess.pointee.cache.noteMiss()
        case -Int(EOPNOTSUPP):
            // It may be a file in memory: asking is cheaper than the loop.
            var known = transfer
            known.descriptor = .classify(transfer.descriptor.number)
            if let result = Operation.read(known).resultInMemory() { return result }
            guess.pointee.cache.noteUnsupported()
        case -Int(ESPIPE), -Int(EINTR): break
        default:
            if result >= 0 { guess.pointee.cache.noteHit() }
            return result
        }
        return nil
    }

    // MARK: Syncs

    private mutating func acceptSync() -> Int32 {
        account.begin(opcode == Self.fullSync ? .sync : .dataSync)
        let (descriptor, file) = Descriptor.identify(block.address.pointee.aio_fildes)
        return start(.sync(descriptor, opcode == Self.fullSync ? .full : .data), file, .syncing, isCovered: false)
    }

    // MARK: Both ways

    /// The operation is complete.
    private mutating func complete(_ result: Int, _ served: Served = .call) -> Int32 {
        let notification = Notification(block.address.pointee.aio_sigevent)
        let result = notification.isValid ? result : -Int(EINVAL)
        block.address.pointee.aio_lio_opcode = opcode
        account.served = served
        account.complete(result: result)
        block.publish(result)
        if result < 0 { list?.noteFailure() }
        notification.send(library)
        return 0
    }

    /// The operation becomes a request. One that may wait for ever goes by a loop of its own.
    private mutating func start(
        _ operation: Operation, _ file: FileIdentity, _ lane: Place.Lane, isCovered: Bool, mayWaitForEver: Bool = false,
        isHeld: Bool = false
    ) -> Int32 {
        guard let carrier = library.carrierForCaller(mayWaitForEver: mayWaitForEver) else {
            // No thread or descriptor is to be had: a file's operation is carried out here. Of a stream's nobody knows how
            // long that takes; libc refuses those as well.
            return mayWaitForEver ? withdraw() : complete(operation.blockingResult())
        }
        var operation = operation
        var isHeld = isHeld
        if !isHeld {
            // From here on the number may be closed, and name another file.
            switch carrier.hold(operation, file) {
            case .held(let held):
                operation = operation.on(held)
                isHeld = true
            case .noPlace: break
            case .notOpen: return complete(-Int(EBADF))
            }
        }
        let name = FileName(descriptor: block.address.pointee.aio_fildes, file: file)
        var place = Place()
        place.lane = lane
        place.isCovered = isCovered
        let begun = library.locked { [self] guarded -> (request: RequestPointer, runs: Bool)? in
            guard let request = guarded.pointee.requests.acquire() else { return nil }
            request.pointee.operation = operation
            request.pointee.isHeld = isHeld
            request.pointee.account = account
            request.pointee.mayWaitForEver = mayWaitForEver
            request.pointee.place = place
            request.pointee.block = block.address
            request.pointee.notification = Notification(block.address.pointee.aio_sigevent)
            request.pointee.list = list
            let entering = guarded.pointee.order.enter(request, on: name)
            guard entering != .noMemory else {
                guarded.pointee.requests.release(request)
                return nil
            }
            list?.noteEntry()
            library.watch(request, block)
            block.begin(opcode, index: request.pointee.index)
            return (request, entering == .runs)
        }
        guard let begun else {
            if isHeld, let descriptor = operation.descriptor { carrier.release(descriptor) }
            return withdraw()
        }
        if begun.runs { library.carry(begun.request) }
        return 0
    }

    /// There is no memory, or no thread.
    private func withdraw() -> Int32 {
        account.withdraw()
        return block.refuse(EAGAIN)
    }
}

extension Library {
    /// Under the lock: from here on others find the request by its block.
    fileprivate func watch(_ request: RequestPointer, _ block: ControlBlock) {
        let next = state.pointee.sequence.pointee.load(ordering: .relaxed) &+ 1
        request.watch.pointee.waiters.store(0, ordering: .relaxed)
        request.watch.pointee.sequence.store(next, ordering: .relaxed)
        // Sequentially consistent: who is about to wait takes this number, and has seen all that was begun before.
        state.pointee.sequence.pointee.store(next, ordering: .sequentiallyConsistent)
        request.watch.pointee.block.store(UInt(bitPattern: block.address), ordering: .releasing)
    }
}

extension ControlBlock {
    fileprivate var buffer: UnsafeMutableRawPointer? { address.pointee.aio_buf }

    /// The call fails with this error, and the block says so too.
    fileprivate func refuse(_ error: Int32) -> Int32 {
        publish(-Int(error))
        return error
    }
}
