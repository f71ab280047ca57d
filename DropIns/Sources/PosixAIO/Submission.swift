internal import AIOCore
internal import CDropIns
internal import CKernel
internal import DropInSupport
internal import Synchronization

/// The submission of one control block: it is carried out in the call if that cannot wait, or else becomes a request.
struct Submission {
    private let library: Library
    private let block: ControlBlock
    private let list: UnsafeMutablePointer<RequestList>?
    /// The value that libc writes into the block.
    private let opcode: Int32
    private var account = OperationAccount()

    // Opcodes of list entries. libc uses the last two internally, but accepts them in a list.
    static var read: Int32 { 0 }
    static var write: Int32 { 1 }
    static var nothing: Int32 { 2 }
    static var dataSync: Int32 { 3 }
    static var fullSync: Int32 { 4 }

    /// glibc's AIO_PRIO_DELTA_MAX.
    private static var priorityMax: Int32 { 20 }

    /// Accepts or refuses a block: 0 or a positive error, which is then stored in the block too.
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
        let transfer = Transfer(
            Descriptor(number, kind: .buffered), block.buffer, count: block.address.pointee.aio_nbytes,
            offset: Int64(block.address.pointee.aio_offset), form: isWrite ? .writing : [])
        // No file accepts such a transfer. The system call fails at once, with the right error.
        guard transfer.offset >= 0, transfer.count >= 0 else { return complete(refusal(transfer)) }
        if !isWrite, let result = knownCached(transfer) { return complete(result, .pageCache) }
        guard let openFlags = OpenFlags(number), openFlags.permits(isWrite: isWrite) else {
            return complete(-Int(EBADF))
        }
        let guess = library.guess(number)
        if !isWrite, !openFlags.isDirect { guess.pointee.noteBuffered(number) }
        if !isWrite,
            let result = TransferAcceptance.served(
                transfer, byteCount: transfer.count, openFlags, guess.pointee.cache)
        {
            return complete(result, .pageCache)
        }
        var acceptance = TransferAcceptance(transfer, byteCount: transfer.count, openFlags)
        switch acceptance.decide(joining: library.runningFiles) {
        case .stream(let isNonBlocking): return startStream(acceptance, isNonBlocking: isNonBlocking)
        // What has no data refuses the operation when it is carried out, as in glibc.
        case .file, .other: return startFile(&acceptance)
        case .noMemory: return withdraw()
        case .notTold(let errno): return complete(-Int(errno))
        }
    }

    private mutating func startFile(_ acceptance: inout TransferAcceptance) -> Int32 {
        acceptance.fixFlags(for: library.carrierForCaller(mayWaitForEver: false))
        return start(
            .transfer(acceptance.transfer), acceptance.file, acceptance.isAppend ? .writing : .parallel,
            isCovered: true, isHeld: acceptance.isHeld)
    }

    private mutating func startStream(_ acceptance: TransferAcceptance, isNonBlocking: Bool) -> Int32 {
        var transfer = acceptance.transfer
        let isWrite = transfer.isWrite
        if isNonBlocking {
            // The program asked for EAGAIN instead of waiting.
            guard isWrite else { return complete(transfer.attempt()) }
            return complete(Kernel.withoutBrokenPipeSignal { transfer.attempt() })
        }
        // A write returns when all is written (`Transfer.Form.whole`), up to the most that one call transfers.
        if isWrite { transfer.count = min(transfer.count, 0x7fff_f000) }
        return start(
            .transfer(transfer), acceptance.file, isWrite ? .writing : .reading, isCovered: isWrite,
            mayWaitForEver: true)
    }

    /// The error of a transfer that no file accepts.
    private func refusal(_ transfer: Transfer) -> Int {
        let isWrite = transfer.isWrite
        let number = transfer.descriptor.number
        // The kernel rejects such a length or a negative offset before it looks at the address.
        let base = transfer.base ?? UnsafeMutableRawPointer(bitPattern: 1)!
        let result =
            isWrite
            ? Kernel.pwrite(number, base, transfer.count, transfer.offset)
            : Kernel.pread(number, base, transfer.count, transfer.offset)
        guard result == -Int(ESPIPE) else { return result }
        return isWrite ? Kernel.write(number, base, transfer.count) : Kernel.read(number, base, transfer.count)
    }

    /// Asks the page cache without asking how the file is open: the read itself fails if it is not open for reading.
    private func knownCached(_ transfer: Transfer) -> Int? {
        let guess = library.guess(transfer.descriptor.number)
        guard guess.pointee.cache.isHitting, guess.pointee.isKnownBuffered(transfer.descriptor.number) else {
            return nil
        }
        return transfer.servedInTheCall(guess.pointee.cache, byteCount: transfer.count)
    }

    // MARK: Syncs

    private mutating func acceptSync() -> Int32 {
        account.begin(opcode == Self.fullSync ? .sync : .dataSync)
        let (descriptor, file) = Descriptor.identify(block.address.pointee.aio_fildes)
        return start(.sync(descriptor, opcode == Self.fullSync ? .full : .data), file, .syncing, isCovered: false)
    }

    // MARK: Transfers and syncs

    /// Completes the operation in the call.
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

    /// Makes the operation a request. One that may wait for ever is carried by a separate loop.
    private mutating func start(
        _ operation: Operation, _ file: FileIdentity, _ lane: Place.Lane, isCovered: Bool, mayWaitForEver: Bool = false,
        isHeld: Bool = false
    ) -> Int32 {
        guard let carrier = library.carrierForCaller(mayWaitForEver: mayWaitForEver) else {
            // Without a loop the operation on a file is carried out here. One on a stream might wait for ever, and is
            // refused, as in glibc.
            return mayWaitForEver ? withdraw() : complete(Self.uninterrupted(operation))
        }
        var operation = operation
        var isHeld = isHeld
        // From here on the program may close the number, and reopen it for another file.
        guard carrier.hold(&operation, file, isHeld: &isHeld) else { return complete(-Int(EBADF)) }
        let name = FileName(descriptor: block.address.pointee.aio_fildes, file: file)
        var place = Place()
        place.lane = lane
        place.isCovered = isCovered
        let begun = library.locked { [self] guarded -> (request: RequestPointer, runs: Bool)? in
            guard let request = guarded.pointee.requests.acquire() else { return nil }
            assert(!request.pointee.isHeld && request.pointee.place.turn == .none, "a free request has not ended")
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
                // The hold is released below.
                request.pointee.isHeld = false
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

    /// As glibc does, makes a call again that a signal has interrupted.
    private static func uninterrupted(_ operation: Operation) -> Int {
        while true {
            let result = operation.blockingResult()
            if result != -Int(EINTR) { return result }
        }
    }

    /// Refuses the operation for want of memory or threads.
    private func withdraw() -> Int32 {
        account.withdraw()
        return block.refuse(EAGAIN)
    }
}

extension Library {
    /// Under the lock: makes the request visible to `watch(of:)`.
    fileprivate func watch(_ request: RequestPointer, _ block: ControlBlock) {
        assert(state.pointee.lock.isHeld)
        let next = state.pointee.sequence.pointee.load(ordering: .relaxed) &+ 1
        request.watch.pointee.waiters.store(0, ordering: .relaxed)
        request.watch.pointee.sequence.store(next, ordering: .relaxed)
        // Sequentially consistent: a thread about to wait reads this number, and sees every request begun before.
        state.pointee.sequence.pointee.store(next, ordering: .sequentiallyConsistent)
        request.watch.pointee.block.store(UInt(bitPattern: block.address), ordering: .releasing)
    }
}

extension ControlBlock {
    fileprivate var buffer: UnsafeMutableRawPointer? { address.pointee.aio_buf }

    /// Refuses the operation: the call fails with this error, which is stored in the block too.
    func refuse(_ error: Int32) -> Int32 {
        publish(-Int(error))
        return error
    }
}
