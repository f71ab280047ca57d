import CKernel
import Glibc
import Testing
import UnitSupport

@testable import AIOCore

/// Faults that the simulation has found, each in a few steps.
@Suite struct ScriptedQueueTests {
    private let stream = Descriptor(3, kind: .stream)

    /// A caller that waits for the descriptor alone would sleep on with a completion to drain.
    @Test func aTimerThatIsStagedLeavesTheExportedDescriptorReadable() throws {
        let queue = ScriptedQueue([0])
        let descriptor = queue.exportDescriptor()
        try queue.stage(.nop)
        queue.submit()
        #expect(isReadable(descriptor))
        try queue.stage(.timeout(deadline: .never))
        #expect(isReadable(descriptor))
        #expect(queue.drain() == [0])
        queue.cancelAll()
    }

    /// The second piece completes while the first is collected; then nobody handed the third over.
    @Test func awaitingTheExportedDescriptorAloneBringsAWholeWriteToItsEnd() throws {
        let queue = ScriptedQueue([1, 1, 1, 1, 1])
        let descriptor = queue.exportDescriptor()
        try withUnsafeTemporaryAllocation(byteCount: 5, alignment: 1) { memory in
            let transfer = Transfer(stream, memory.baseAddress, count: 5, offset: 0, form: .whole)
            try queue.stage(.write(transfer))
            queue.submit()
            var results: [Int32] = []
            while results.isEmpty, isReadable(descriptor) { results = queue.drain() }
            #expect(results == [5])
        }
    }

    @Test func anInterruptedPollOfTheQueueIsNotSeenByTheCaller() throws {
        let queue = ScriptedQueue([-EAGAIN, -EINTR, 4])
        try queue.stage(.splice(Splice(from: stream, to: Descriptor(4, kind: .stream), count: 9)))
        for _ in 0..<4 { queue.submit() }
        #expect(queue.drain() == [4])
        #expect(queue.stagedNames == ["splice", "poll", "splice"])
    }

    /// It must not hold the group's buffer while there is nothing to receive.
    @Test func aReceiveIntoAGroupDoesNotWaitInTheKernel() throws {
        let queue = ScriptedQueue([-EAGAIN, 1, 4])
        try withUnsafeTemporaryAllocation(byteCount: 16, alignment: 1) { memory in
            let base = try #require(memory.baseAddress)
            try queue.stage(.buffers(.register(base: base, size: 16, count: 1)))
            #expect(queue.drain() == [0])
            let receive = SocketCall.receiveBuffered(stream, group: 0, flags: CK_MSG_PEEK, isRepeating: false)
            try queue.stage(.socket(receive))
            for _ in 0..<4 { queue.submit() }
            #expect(queue.drain() == [4])
            #expect(queue.stagedNames == ["receive", "poll", "receive"])
            #expect(queue.receiveFlags == [CK_MSG_PEEK | CK_MSG_DONTWAIT, CK_MSG_PEEK | CK_MSG_DONTWAIT])
            try queue.stage(.buffers(.provide(group: 0, buffer: 0)))
            try queue.stage(.buffers(.unregister(group: 0)))
            #expect(queue.drain() == [0, 0])
        }
    }

    @Test func aReceiveWithoutAFreeBufferWaitsForDataFirst() throws {
        let queue = ScriptedQueue([])
        try withUnsafeTemporaryAllocation(byteCount: 16, alignment: 1) { memory in
            let base = try #require(memory.baseAddress)
            try queue.stage(.buffers(.register(base: base, size: 16, count: 1)))
            let receive = SocketCall.receiveBuffered(stream, group: 0, flags: 0, isRepeating: false)
            try queue.stage(.socket(receive))
            try queue.stage(.socket(receive))
            queue.submit()
            #expect(queue.stagedNames == ["receive", "poll"])
            // The second has data, and still no buffer.
            queue.complete([4, 1])
            queue.submit()
            #expect(queue.drain() == [0, 4, -ENOBUFS])
        }
    }

    /// The kernel drops what a thread submitted when that thread exits.
    @Test func whatAThreadLeftBehindIsStagedAgainByTheThreadThatExportsTheDescriptor() throws {
        let queue = ScriptedQueue([])
        TestThread {
            queue.submit()
            try? queue.stage(.nop)
            queue.submit()
        }.join()
        queue.complete([-ECANCELED, 0])
        #expect(isReadable(queue.exportDescriptor()))
        #expect(queue.drain() == [0])
    }
}

private func isReadable(_ descriptor: Int32) -> Bool {
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return poll(&entry, 1, 0) == 1
}

/// A queue over a scripted engine.
private final class ScriptedQueue: @unchecked Sendable {
    // @unchecked: only one thread at a time uses it.
    private let queue = UnsafeMutablePointer<EngineQueue>.allocate(capacity: 1)
    private let script: Script

    init(_ results: [Int32]) {
        script = Script(results)
        queue.initialize(
            to: EngineQueue(ScriptedEngine(script: script), as: .threads, EngineConfiguration(queueDepth: 4)))
    }

    deinit {
        queue.pointee.discardReady()
        queue.deinitialize(count: 1)
        queue.deallocate()
    }

    var stagedNames: [String] { script.staged.map { "\($0.traits.name)" } }
    var receiveFlags: [Int32] {
        script.staged.compactMap {
            guard case .socket(.receive(_, _, _, let flags, _)) = $0 else { return nil }
            return flags
        }
    }

    func stage(_ operation: AIOCore.Operation) throws {
        let token = queue.pointee.prepare(operation, context: 0)
        queue.pointee.stage(try #require(token))
    }

    /// The engine completes so many with these results when it is entered next.
    func complete(_ results: [Int32]) {
        script.results = results
        script.enter()
    }
    func submit() { queue.pointee.submit() }
    func cancelAll() { queue.pointee.requestCancelAll() }
    func exportDescriptor() -> Int32 { queue.pointee.exportDescriptor() }
    func drain() -> [Int32] {
        var results: [Int32] = []
        while let delivery = queue.pointee.popReady() { results.append(delivery.completion.result) }
        return results
    }
}
