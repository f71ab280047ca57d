import CKernel
import Testing

@testable import AIOCore

/// Every operation as a submission entry, compared with io_uring_enter(2)'s description of each opcode.
@Suite struct SubmissionEncodingTests {
    private static var base: UnsafeMutableRawPointer { UnsafeMutableRawPointer(bitPattern: 0x1234_5678_9abc)! }
    private static let file = Descriptor(7, kind: .buffered)

    /// nil if the operation goes to a worker.
    private func encoded(_ operation: AIOCore.Operation, supported: UInt64 = .max) -> ck_uring_submission? {
        var entry = ck_uring_submission()
        return entry.encode(operation, supported: supported) ? entry : nil
    }

    private func transfer(
        count: Int = 4096, offset: Int64 = 1 << 40, kind: Descriptor.Kind = .buffered, flags: TransferFlags = [],
        bufferIndex: UInt16 = Transfer.unregistered
    ) -> Transfer {
        Transfer(
            Descriptor(7, kind: kind), Self.base, count: count, offset: offset, flags: flags, bufferIndex: bufferIndex)
    }

    /// Expectations that all reads and writes share.
    private func expectTransfer(_ entry: ck_uring_submission, opcode: UInt8, count: UInt32 = 4096) {
        #expect(entry.opcode == opcode)
        #expect(entry.descriptor == 7)
        #expect(entry.address == 0x1234_5678_9abc)
        #expect(entry.count == count)
        #expect(entry.offset == 1 << 40)
        #expect(entry.io_priority == 0 && entry.personality == 0 && entry.file_index == 0)
        #expect(entry.address3 == 0 && entry.padding == 0)
    }

    @Test func operationsAreNoLargerThanATransferAndAByte() {
        #expect(MemoryLayout<AIOCore.Operation>.size <= MemoryLayout<Transfer>.size + 1)
    }

    // MARK: Sockets

    @Test func nothingThatIsSentBringsASignal() throws {
        let socket = Descriptor(7, kind: .stream)
        let message = UnsafeMutablePointer<ck_message>.allocate(capacity: 1)
        defer { message.deallocate() }
        message.initialize(to: ck_message())
        let calls: [SocketCall] = [
            .send(socket, Self.base, count: 9, flags: CK_MSG_WAITALL), .sendMessage(socket, message, flags: 0),
        ]
        for call in calls {
            let entry = try #require(encoded(.socket(call)))
            #expect(entry.operation_flags == UInt32(CK_MSG_NOSIGNAL))
            #expect(entry.descriptor == 7)
        }
    }

    @Test func whatMayWaitForAWorkersSakeIsNotInTheRing() {
        let pipe = Descriptor(7, kind: .stream)
        #expect(encoded(.splice(Splice(from: pipe, to: pipe, count: 1))) == nil)
        #expect(encoded(.tee(Splice(from: pipe, to: pipe, count: 1))) == nil)
        let family = UnsafeMutablePointer<UInt16>.allocate(capacity: 1)
        defer { family.deallocate() }
        family.initialize(to: UInt16(CK_AF_UNIX))
        #expect(encoded(.socket(.connect(pipe, address: family, count: 2))) == nil)
        #expect(encoded(.socket(.bind(pipe, address: family, count: 2))) == nil)
        #expect(encoded(.socket(.create(domain: 1, type: 1, protocol: 0)), supported: 0) == nil)
    }

    // MARK: Reads and writes

    @Test func readsAndWritesCarryBufferCountAndOffset() throws {
        expectTransfer(try #require(encoded(.read(transfer()))), opcode: CK_URING_OP_READ)
        expectTransfer(try #require(encoded(.write(transfer()))), opcode: CK_URING_OP_WRITE)
    }

    @Test func vectoredOnesCarryTheirVectors() throws {
        var vectors: [2 of iovec] = [iovec(iov_base: nil, iov_len: 1), iovec(iov_base: nil, iov_len: 2)]
        try withUnsafeMutableBytes(of: &vectors) { vectors in
            let transfer = Transfer(Self.file, vectors.baseAddress, count: 2, offset: 5)
            for (operation, opcode) in [
                (AIOCore.Operation.readVectored(transfer), CK_URING_OP_READV),
                (.writeVectored(transfer), CK_URING_OP_WRITEV),
            ] {
                let entry = try #require(encoded(operation))
                #expect(entry.opcode == opcode)
                #expect(entry.address == UInt64(UInt(bitPattern: vectors.baseAddress)))
                #expect(entry.count == 2)
                #expect(entry.offset == 5)
                #expect(entry.flags == 0)
            }
        }
    }

    @Test func aRegisteredBufferIsNamedByItsIndex() throws {
        let read = try #require(encoded(.read(transfer(bufferIndex: 3))))
        expectTransfer(read, opcode: CK_URING_OP_READ_FIXED)
        #expect(read.buffer_index == 3)
        let write = try #require(encoded(.write(transfer(bufferIndex: 0))))
        expectTransfer(write, opcode: CK_URING_OP_WRITE_FIXED)
        #expect(write.buffer_index == 0)
    }

    @Test func aRegisteredFileIsNamedByItsIndex() throws {
        var registered = transfer()
        registered.descriptor = .registered(7, kind: .buffered)
        #expect(try #require(encoded(.read(registered))).flags == CK_URING_SQE_FIXED_FILE)
        #expect(try #require(encoded(.read(transfer()))).flags == 0)
        let sync = try #require(encoded(.sync(.registered(7), .full)))
        #expect(sync.flags == CK_URING_SQE_FIXED_FILE)
        #expect(sync.descriptor == 7)
    }

    @Test func theKernelsFlagsArePassedOnAndOursAreNot() throws {
        let all: TransferFlags = [.dataSync, .sync, .noWait, .append, .noAppend, .atomic, .dontCache]
        var flagged = transfer(flags: all)
        flagged.form.insert(.cacheMissed)
        let entry = try #require(encoded(.write(flagged)))
        #expect(
            entry.operation_flags == CK_RWF_DSYNC | CK_RWF_SYNC | CK_RWF_NOWAIT | CK_RWF_APPEND | CK_RWF_NOAPPEND
                | CK_RWF_ATOMIC | CK_RWF_DONTCACHE)
    }

    /// A ring without IOPOLL refuses the flag, which is only a hint.
    @Test func highPriorityIsLeftOut() throws {
        #expect(try #require(encoded(.read(transfer(flags: .highPriority)))).operation_flags == 0)
    }

    @Test func aStreamHasNoOffset() throws {
        let entry = try #require(encoded(.read(transfer(kind: .stream))))
        #expect(entry.offset == .max)
        #expect(try #require(encoded(.read(transfer(offset: Transfer.currentPosition)))).offset == .max)
    }

    @Test func aCountBeyondWhatTheKernelTransfersAtOnceIsCut() throws {
        #expect(try #require(encoded(.read(transfer(count: 1 << 40, kind: .direct)))).count == 0x7fff_f000)
        #expect(try #require(encoded(.read(transfer(count: 0x7fff_f000, kind: .direct)))).count == 0x7fff_f000)
        #expect(try #require(encoded(.read(transfer(count: 0, kind: .direct)))).count == 0)
    }

    @Test func aLargeBufferedTransferIsNotCopiedByTheSubmitter() throws {
        let limit = Transfer.inlineLimit
        #expect(try #require(encoded(.read(transfer(count: limit + 1)))).flags == CK_URING_SQE_ASYNC)
        #expect(try #require(encoded(.write(transfer(count: limit + 1)))).flags == CK_URING_SQE_ASYNC)
        #expect(try #require(encoded(.read(transfer(count: limit)))).flags == 0)
        #expect(try #require(encoded(.read(transfer(count: limit + 1, kind: .direct)))).flags == 0)
        #expect(try #require(encoded(.read(transfer(count: limit + 1, flags: .noWait)))).flags == 0)
    }

    // MARK: The other operations

    @Test func aNopIsANop() throws {
        #expect(try #require(encoded(.nop)).opcode == CK_URING_OP_NOP)
    }

    @Test func syncTellsDataFromFull() throws {
        let full = try #require(encoded(.sync(Self.file, .full)))
        #expect(full.opcode == CK_URING_OP_FSYNC)
        #expect(full.descriptor == 7)
        #expect(full.operation_flags == 0)
        #expect(full.count == 0 && full.offset == 0, "of the whole file")
        #expect(try #require(encoded(.sync(Self.file, .data))).operation_flags == CK_URING_FSYNC_DATASYNC)
    }

    @Test func syncRangeCarriesItsRange() throws {
        let entry = try #require(encoded(.syncRange(Self.file, offset: 1 << 40, count: 8192, flags: 7)))
        #expect(entry.opcode == CK_URING_OP_SYNC_FILE_RANGE)
        #expect(entry.descriptor == 7)
        #expect(entry.offset == 1 << 40)
        #expect(entry.count == 8192)
        #expect(entry.operation_flags == 7)
    }

    @Test func openCarriesPathAndHow() throws {
        let path = UnsafePointer<CChar>(bitPattern: 0x1000)!
        let how = UnsafePointer<ck_open_how>(bitPattern: 0x2000)!
        let entry = try #require(encoded(.open(directory: CK_AT_FDCWD, path: path, how: how)))
        #expect(entry.opcode == CK_URING_OP_OPENAT2)
        #expect(entry.descriptor == CK_AT_FDCWD)
        #expect(entry.address == 0x1000)
        #expect(entry.offset == 0x2000)
        #expect(entry.count == 24)
    }

    @Test func closeNamesTheDescriptorAndNoRegisteredOne() throws {
        let entry = try #require(encoded(.close(7)))
        #expect(entry.opcode == CK_URING_OP_CLOSE)
        #expect(entry.descriptor == 7)
        #expect(entry.file_index == 0)
    }

    @Test func statusCarriesPathMaskAndResult() throws {
        let path = UnsafePointer<CChar>(bitPattern: 0x1000)!
        let result = UnsafeMutablePointer<ck_statx>(bitPattern: 0x2000)!
        let entry = try #require(
            encoded(.status(directory: 7, path: path, flags: CK_AT_EMPTY_PATH, mask: 0x7ff, result: result)))
        #expect(entry.opcode == CK_URING_OP_STATX)
        #expect(entry.descriptor == 7)
        #expect(entry.address == 0x1000)
        #expect(entry.offset == 0x2000)
        #expect(entry.count == 0x7ff)
        #expect(entry.operation_flags == UInt32(CK_AT_EMPTY_PATH))
    }

    @Test func allocateCarriesItsModeWhereTheLengthIsElsewhere() throws {
        let entry = try #require(
            encoded(.allocate(Self.file, mode: CK_FALLOC_FL_KEEP_SIZE, offset: 1 << 40, count: 1 << 41)))
        #expect(entry.opcode == CK_URING_OP_FALLOCATE)
        #expect(entry.descriptor == 7)
        #expect(entry.offset == 1 << 40)
        #expect(entry.address == 1 << 41)
        #expect(entry.count == UInt32(CK_FALLOC_FL_KEEP_SIZE))
    }

    @Test func truncateIsForKernelsThatKnowIt() throws {
        let entry = try #require(encoded(.truncate(Self.file, size: 1 << 40)))
        #expect(entry.opcode == CK_URING_OP_FTRUNCATE)
        #expect(entry.descriptor == 7)
        #expect(entry.offset == 1 << 40)
        #expect(entry.address == 0 && entry.count == 0)
        #expect(encoded(.truncate(Self.file, size: 0), supported: ~(1 << UInt64(CK_URING_OP_FTRUNCATE))) == nil)
    }

    @Test func adviseCarriesItsRange() throws {
        let entry = try #require(encoded(.advise(Self.file, offset: 1 << 40, count: 8192, advice: CK_FADV_DONTNEED)))
        #expect(entry.opcode == CK_URING_OP_FADVISE)
        #expect(entry.descriptor == 7)
        #expect(entry.offset == 1 << 40)
        #expect(entry.count == 8192)
        #expect(entry.operation_flags == UInt32(CK_FADV_DONTNEED))
    }

    @Test func pollCarriesItsEventsAndFiresOnce() throws {
        let entry = try #require(encoded(.poll(Descriptor(7), events: CK_POLLIN | CK_POLLRDHUP)))
        #expect(entry.opcode == CK_URING_OP_POLL_ADD)
        #expect(entry.descriptor == 7)
        #expect(entry.operation_flags == CK_POLLIN | CK_POLLRDHUP)
        #expect(entry.count == 0)
    }

    // MARK: Names

    private static var path: UnsafePointer<CChar> { UnsafePointer<CChar>(bitPattern: 0x1000)! }
    private static var newPath: UnsafePointer<CChar> { UnsafePointer(bitPattern: 0x2000)! }

    private static let naming: [(AIOCore.Operation, opcode: UInt8)] = [
        (.rename(directory: 7, path: path, newDirectory: 8, newPath: newPath, flags: 2), CK_URING_OP_RENAMEAT),
        (.link(directory: 7, path: path, newDirectory: 8, newPath: newPath, flags: 2), CK_URING_OP_LINKAT),
        (.symbolicLink(target: path, directory: 7, path: newPath), CK_URING_OP_SYMLINKAT),
        (.unlink(directory: 7, path: path, flags: 2), CK_URING_OP_UNLINKAT),
        (.makeDirectory(directory: 7, path: path, permissions: 0o700), CK_URING_OP_MKDIRAT),
    ]

    @Test func aFutexWaitCarriesItsWordAndIsForKernelsThatKnowIt() throws {
        let word = Self.base.assumingMemoryBound(to: UInt32.self)
        for (isPrivate, flags) in [(true, Int32(130)), (false, 2)] {
            let wait = AIOCore.Operation.futexWait(FutexWait(word, while: 9, isPrivate: isPrivate))
            let entry = try #require(encoded(wait))
            #expect(entry.opcode == CK_URING_OP_FUTEX_WAIT && entry.descriptor == flags)
            #expect(entry.address == 0x1234_5678_9abc && entry.offset == 9 && entry.address3 == 0xffff_ffff)
            #expect(entry.count == 0 && entry.operation_flags == 0 && entry.flags == 0)
            #expect(encoded(wait, supported: .max ^ 1 << UInt64(CK_URING_OP_FUTEX_WAIT)) == nil)
        }
    }

    @Test func operationsOnNamesCarryTheirPathsAndDirectories() throws {
        for (operation, opcode) in Self.naming {
            let entry = try #require(encoded(operation))
            #expect(entry.opcode == opcode)
            #expect(entry.descriptor == 7)
            #expect(entry.address == 0x1000)
            switch opcode {
            case CK_URING_OP_RENAMEAT, CK_URING_OP_LINKAT:
                #expect(entry.offset == 0x2000 && entry.count == 8 && entry.operation_flags == 2)
            case CK_URING_OP_SYMLINKAT:
                #expect(entry.offset == 0x2000 && entry.count == 0 && entry.operation_flags == 0)
            case CK_URING_OP_UNLINKAT:
                #expect(entry.offset == 0 && entry.count == 0 && entry.operation_flags == 2)
            default:
                #expect(entry.offset == 0 && entry.count == 0o700 && entry.operation_flags == 0)
            }
        }
    }

    @Test func operationsOnNamesAreForKernelsThatKnowThem() {
        for (operation, opcode) in Self.naming {
            #expect(encoded(operation, supported: ~(1 << UInt64(opcode))) == nil)
        }
    }

    @Test func attributesCarryNameValueAndPath() throws {
        let value = Self.base
        let set = AIOCore.Operation.call(
            .setAttribute(path: Self.path, followLinks: true, name: Self.newPath, value: value, count: 9, flags: 1))
        let entry = try #require(encoded(set))
        #expect(entry.opcode == CK_URING_OP_SETXATTR)
        #expect(entry.address == 0x2000 && entry.address3 == 0x1000 && entry.offset == 0x1234_5678_9abc)
        #expect(entry.count == 9 && entry.operation_flags == 1)
        #expect(encoded(set, supported: ~(1 << UInt64(CK_URING_OP_SETXATTR))) == nil)
        let get = try #require(encoded(.call(.getAttribute(7, name: Self.newPath, value: value, count: 9))))
        #expect(get.opcode == CK_URING_OP_FGETXATTR && get.descriptor == 7)
        #expect(get.address == 0x2000 && get.address3 == 0 && get.offset == 0x1234_5678_9abc)
        #expect(get.count == 9 && get.operation_flags == 0)
    }

    @Test func attributesOfALinkItselfGoToAWorker() {
        let get = BlockingCall.getAttribute(
            path: Self.path, followLinks: false, name: Self.newPath, value: nil, count: 0)
        #expect(encoded(.call(get)) == nil)
        #expect(encoded(.call(.removeAttribute(7, name: Self.newPath))) == nil)
    }

    @Test func whatWasTriedInVainWaitsFirstWhereTheRingCan() throws {
        let calls: [SocketCall] = [
            .receive(Self.file, nil, count: 1, flags: CK_MSG_PEEK, waitsFirst: true),
            .send(Self.file, nil, count: 1, flags: CK_MSG_NOSIGNAL, waitsFirst: true),
        ]
        for (call, flags) in zip(calls, [CK_MSG_PEEK, CK_MSG_NOSIGNAL]) {
            let entry = try #require(encoded(.socket(call)))
            #expect(entry.io_priority == CK_URING_SEND_RECEIVE_POLL_FIRST)
            #expect(entry.operation_flags == UInt32(flags))
            let older = try #require(encoded(.socket(call), supported: ~(1 << UInt64(CK_URING_OP_SEND_ZC))))
            #expect(older.io_priority == 0)
            #expect(older.operation_flags == UInt32(flags))
        }
        #expect(encoded(.socket(.receive(Self.file, nil, count: 1, flags: 0)))?.io_priority == 0)
    }

    // MARK: What the ring cannot express

    @Test func callsAndWorkGoToWorkers() {
        #expect(encoded(.call(.setPermissions(7, permissions: 0))) == nil)
        let work = BlockingWork(deadline: .never)
        #expect(encoded(.work(.passUnretained(work))) == nil)
        withExtendedLifetime(work) {}
    }

    /// The entry has 32 bits for a length that has 64 in the system call. Negative lengths are refused by the system
    /// call.
    @Test(arguments: [1 << 32, .max, -1] as [Int64])
    func aLengthThatDoesNotFitGoesToAWorker(_ count: Int64) {
        #expect(encoded(.syncRange(Self.file, offset: 0, count: count, flags: 0)) == nil)
        #expect(encoded(.advise(Self.file, offset: 0, count: count, advice: 0)) == nil)
    }

    @Test func theLongestLengthThatFitsStays() {
        #expect(encoded(.syncRange(Self.file, offset: 0, count: 0xffff_ffff, flags: 0))?.count == .max)
        #expect(encoded(.advise(Self.file, offset: 0, count: 0xffff_ffff, advice: 0))?.count == .max)
    }

    @Test func whatTheQueueDoesItselfIsNotEncoded() {
        #expect(encoded(.timeout(deadline: 1)) == nil)
        #expect(encoded(.cancel(target: Token(rawValue: 1))) == nil)
    }
}
