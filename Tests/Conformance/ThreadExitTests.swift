import AIO
import AIOCore
import CKernel
import Glibc
import Testing

/// The kernel cancels a thread's operations when the thread exits; the queue restages them.
@Suite(.overSimulation, .notSimulated(.threads), .timeLimit(.minutes(10))) struct ThreadExitTests {
    /// Operations that were pending when their thread exited complete for the thread that drains.
    @Test(arguments: engines, StreamKind.allCases)
    func whatAnExitedThreadSubmittedIsCompleted(_ engine: EngineKind, _ kind: StreamKind) async throws {
        try await withQueue(engine, { $0.queueDepth = 16 }) { queue in
            try await Ends.with(kind) { ends in
                let memory = (0..<4).map { _ in Memory(count: 1) }
                let handed = Handed(queue)
                let reading = ends.reading
                try onAnotherThread {
                    for (index, memory) in memory.enumerated() {
                        try handed.queue.prepare(.read(memory.transfer(reading)), context: UInt(index))
                    }
                    try handed.queue.prepare(.poll(Descriptor(reading), events: CK_POLLIN), context: 10)
                    try handed.queue.prepare(.timeout(deadline: monotonicNow() + 1_000_000), context: 11)
                    try handed.queue.submit()
                }
                #expect(queue.inFlightCount == 6)
                // Four bytes are for the reads; the fifth is for the poll, whichever completes first.
                for byte in UInt8(1)...5 { ends.put([byte]) }
                var results: [UInt: Int32] = [:]
                while results.count < 6 {
                    try queue.waitPatiently()
                    for completion in queue.completions() { results[completion.context] = completion.result }
                }
                #expect(results[11] == 0)
                #expect(results[10] == Int32(CK_POLLIN))
                for index in UInt(0)..<4 { #expect(results[index] == 1) }
                #expect(Set(memory.map { $0.bytes[0] }) == [1, 2, 3, 4])
                #expect(ends.get(1) == [5])
            }
        }
    }

    @Test(arguments: engines)
    func fileOperationsOfAnExitedThreadAreCompleted(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let content = KnownContent(seed: 41)
            let path = try scratch.file("exit", content.bytes(count: 1 << 20, at: 0))
            let descriptor = try openDescriptor(path, O_RDWR)
            defer { closeDescriptor(descriptor) }
            try await withQueue(engine, { $0.queueDepth = 64 }) { queue in
                let handed = Handed(queue)
                for round in 0..<20 {
                    #expect(fsync(descriptor) == 0)
                    #expect(posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED) == 0)
                    let memory = (0..<32).map { _ in Memory(count: 4096) }
                    try onAnotherThread {
                        for (index, memory) in memory.enumerated() {
                            let transfer = memory.transfer(descriptor, at: Int64(index) * 32_768)
                            try handed.queue.prepare(.read(transfer), context: UInt(index))
                        }
                        for index in 0..<8 {
                            try handed.queue.prepare(.sync(Descriptor(descriptor), .full), context: 100 + UInt(index))
                        }
                        try handed.queue.submit()
                    }
                    try queue.waitPatiently(atLeast: 40)
                    let drained = queue.completions()
                    #expect(drained.count == 40, "round \(round)")
                    for completion in drained {
                        #expect(completion.result == (completion.context < 100 ? 4096 : 0), "\(completion)")
                    }
                    for (index, memory) in memory.enumerated() {
                        #expect(content.mismatch(memory.bytes, at: Int64(index) * 32_768) == nil)
                    }
                }
            }
        }
    }

    @Test(arguments: engines)
    func whatAnExitedThreadSubmittedCanBeCancelled(_ engine: EngineKind) async throws {
        try await withQueue(engine) { queue in
            try await Ends.with { ends in
                let memory = Memory(count: 1)
                let handed = Handed(queue)
                let reading = ends.reading
                try onAnotherThread {
                    handed.token = try handed.queue.prepare(.read(memory.transfer(reading)))
                    try handed.queue.submit()
                }
                let token = try #require(handed.token)
                queue.requestCancel(token)
                try queue.waitPatiently()
                #expect(queue.completions() == [Drained(token, -ECANCELED, 0)])
                ends.put([1])
                #expect(ends.get(1) == [1])
                #expect(memory.bytes == [0])
            }
        }
    }

    /// A queue is passed from thread to thread: each submits, and the next one drains.
    @Test(arguments: engines)
    func aQueueMayBeHandedFromThreadToThread(_ engine: EngineKind) async throws {
        try await withQueue(engine) { queue in
            try await Ends.with { ends in
                let handed = Handed(queue)
                let memory = Memory(count: 1)
                let (reading, writing) = (ends.reading, ends.writing)
                for round in 0..<50 {
                    try onAnotherThread {
                        if round > 0 {
                            try handed.queue.waitPatiently()
                            handed.results += handed.queue.completions().map(\.result)
                        }
                        try handed.queue.prepare(.read(memory.transfer(reading)))
                        try handed.queue.submit()
                    }
                    var byte = UInt8(round)
                    #expect(Glibc.write(writing, &byte, 1) == 1)
                }
                try queue.waitPatiently()
                handed.results += queue.completions().map(\.result)
                #expect(handed.results == [Int32](repeating: 1, count: 50))
            }
        }
    }

    @Test(arguments: engines)
    func deadlinesOutliveTheThreadThatGaveThem(_ engine: EngineKind) async throws {
        try await withQueue(engine) { queue in
            try await Ends.with { ends in
                let memory = Memory(count: 1)
                let handed = Handed(queue)
                let reading = ends.reading
                try onAnotherThread {
                    try handed.queue.prepare(.read(memory.transfer(reading)), deadline: .soon)
                    try handed.queue.submit()
                }
                try queue.waitPatiently()
                #expect(queue.completions().map(\.result) == [-ECANCELED])
            }
        }
    }

    /// Runs `body` on a new thread, and returns when that has exited.
    private func onAnotherThread(_ body: @escaping @Sendable () throws -> Void) throws {
        let failure = Failure()
        let thread = try startThread {
            do { try body() } catch { failure.error = error }
        }
        #expect(pthread_join(thread, nil) == 0)
        if let error = failure.error { throw error }
    }
}

/// A queue that is passed from thread to thread; only one thread at a time uses it.
private final class Handed: @unchecked Sendable {
    // @unchecked: the threads take turns, and each is joined before the next one starts.
    let queue: IOQueue
    var token: Token?
    var results: [Int32] = []

    init(_ queue: IOQueue) { self.queue = queue }
}

private final class Failure: @unchecked Sendable {
    // @unchecked: read after the writing thread was joined.
    var error: (any Error)?
}
