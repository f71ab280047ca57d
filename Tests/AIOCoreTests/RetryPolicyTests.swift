import CKernel
import Testing

@testable import AIOCore

/// What becomes of an operation after a result that is not plain success (`RetryPolicy.decide`).
@Suite struct RetryPolicyTests {
    private static var ring: RetryPolicy { RetryPolicy(.ioUring) }
    private static var threads: RetryPolicy { RetryPolicy(.threads) }

    private func decide(
        _ policy: RetryPolicy, _ operation: AIOCore.Operation, _ result: Int32, flags: CompletionFlags = [],
        wasAwaiting: Bool = false, isCancelRequested: Bool = false, issuerChanges: UInt32 = 0
    ) throws -> Decision {
        let table = InFlightTable(capacity: 1)
        let token = try #require(table.prepare(operation, context: 0, deadline: .never))
        #expect(table.stage(token) == .submit)
        if isCancelRequested { #expect(table.requestCancel(token) == .askEngine) }
        return policy.decide(
            Completion(token, result: result, flags: flags), table[token].pointee, wasAwaiting: wasAwaiting,
            issuerChanges: issuerChanges)
    }

    private static func transfer(_ kind: Descriptor.Kind, flags: TransferFlags = []) -> Transfer {
        Transfer(Descriptor(-1, kind: kind), nil, count: 1, offset: 0, flags: flags)
    }

    // MARK: Readiness

    @Test(arguments: EngineKind.allCases)
    func whatWouldBlockWaitsForItsDescriptor(_ engine: EngineKind) throws {
        let policy = RetryPolicy(engine)
        let read = AIOCore.Operation.read(Self.transfer(.stream))
        guard case .awaitReadiness(.poll(_, CK_POLLIN)) = try decide(policy, read, -EAGAIN) else {
            return #expect(Bool(false), "it does not wait")
        }
        let send = AIOCore.Operation.socket(.send(Descriptor(-1, kind: .stream), nil, count: 1, flags: 0))
        guard case .awaitReadiness(.poll(_, CK_POLLOUT)) = try decide(policy, send, -EAGAIN) else {
            return #expect(Bool(false), "it does not wait for room")
        }
    }

    /// Its socket is writable all the time: a poll and another attempt would take turns without a pause.
    @Test(arguments: EngineKind.allCases)
    func aDatagramForAFullReceiverIsTriedAgainAfterAPause(_ engine: EngineKind) throws {
        var family = UInt16(CK_AF_UNIX)
        var message = ck_message()
        try withUnsafeMutablePointer(to: &family) { name in
            message.name = UnsafeMutableRawPointer(name)
            try withUnsafePointer(to: &message) { message in
                let send = AIOCore.Operation.socket(.sendMessage(Descriptor(-1, kind: .stream), message, flags: 0))
                guard case .pause = try decide(RetryPolicy(engine), send, -EAGAIN) else {
                    return #expect(Bool(false), "it does not pause")
                }
            }
        }
    }

    @Test func aReadyDescriptorIsAttemptedAgain() throws {
        let read = AIOCore.Operation.read(Self.transfer(.direct))
        guard case .stageAgain(_, isReady: true) = try decide(Self.threads, read, 1, wasAwaiting: true) else {
            return #expect(Bool(false), "by the engine")
        }
        // A ring may return EAGAIN for ever.
        guard case .stageWithWorker = try decide(Self.ring, read, 1, wasAwaiting: true) else {
            return #expect(Bool(false), "by a worker")
        }
    }

    @Test func anOperationThatMustNotWaitEndsWithEAGAIN() throws {
        let read = AIOCore.Operation.read(Self.transfer(.stream, flags: .noWait))
        guard case .finish(-EAGAIN, _) = try decide(Self.threads, read, -EAGAIN) else {
            return #expect(Bool(false), "it waits")
        }
    }

    // MARK: Other forms

    @Test func whatTakesNoOffsetIsDoneWithoutOne() throws {
        let read = AIOCore.Operation.read(Self.transfer(.direct))
        guard case .stageAgain(.transfer(let again), isReady: false) = try decide(Self.threads, read, -ESPIPE) else {
            return #expect(Bool(false), "it is not attempted again")
        }
        #expect(again.offset == Transfer.currentPosition)
        guard case .finish(-ESPIPE, _) = try decide(Self.threads, .transfer(again), -ESPIPE) else {
            return #expect(Bool(false), "the second time is final")
        }
    }

    @Test func aDirectWriteThatARingRefusesIsAWorkersOnce() throws {
        let write = AIOCore.Operation.write(Self.transfer(.direct))
        guard case .stageWithWorker = try decide(Self.ring, write, -EINVAL) else {
            return #expect(Bool(false), "a worker is not asked")
        }
        guard case .finish(-EINVAL, .usedWorker) = try decide(Self.ring, write, -EINVAL, flags: .usedWorker) else {
            return #expect(Bool(false), "the worker's answer is final")
        }
    }

    @Test func anInterruptedOperationIsRestartedUnlessItIsARelease() throws {
        let read = AIOCore.Operation.read(Self.transfer(.direct))
        guard case .stageAgain = try decide(Self.threads, read, -EINTR) else {
            return #expect(Bool(false), "it did nothing")
        }
        // The descriptor is closed, and its number may be another file's.
        guard case .finish(-EINTR, _) = try decide(Self.threads, .close(-1), -EINTR, issuerChanges: 1) else {
            return #expect(Bool(false), "a close is attempted again")
        }
    }

    // MARK: Cancels

    @Test func whatWasDroppedWithItsThreadIsStagedAgain() throws {
        guard case .stageDropped = try decide(Self.ring, .nop, -ECANCELED, issuerChanges: 1) else {
            return #expect(Bool(false), "nobody cancelled it")
        }
        guard case .finish(-ECANCELED, _) = try decide(Self.ring, .nop, -ECANCELED) else {
            return #expect(Bool(false), "its thread is the present one")
        }
    }

    /// The kernel cancels without further indication where it finds no thread for a worker of its own.
    @Test func aWorkerTriesOnceWhatTheKernelFoundNoThreadFor() throws {
        let sync = AIOCore.Operation.sync(Descriptor(-1), .full)
        guard case .stageWithWorker = try decide(Self.ring, sync, -ECANCELED) else {
            return #expect(Bool(false), "a worker is not asked")
        }
        guard case .finish(-ECANCELED, _) = try decide(Self.ring, sync, -ECANCELED, flags: .usedWorker) else {
            return #expect(Bool(false), "the worker's answer is final")
        }
    }

    @Test(arguments: [(-EINTR, -ECANCELED), (-EAGAIN, -ECANCELED), (-EIO, -EIO), (-ECANCELED, -ECANCELED)])
    func afterACancelNothingIsAttemptedAgain(_ result: Int32, _ last: Int32) throws {
        let read = AIOCore.Operation.read(Self.transfer(.stream))
        guard case .finish(last, _) = try decide(Self.threads, read, result, isCancelRequested: true, issuerChanges: 1)
        else { return #expect(Bool(false), "it goes on, or ends with another result") }
    }
}
