import CKernel
import Glibc
import Synchronization
import Testing
import UnitSupport

@testable import AIOCore

/// Cases that need a certain engine or a certain thread, which the conformance suite cannot ask for.
@Suite struct EngineQueueTests {
    static let ioUringFailure: Int32? = {
        do throws(EngineFailure) {
            _ = try EngineQueue(.ioUring, EngineConfiguration(queueDepth: 1))
            return nil
        } catch {
            return error.errno
        }
    }()

    static let engines = EngineKind.allCases.filter { KernelFeatures.probe().failure(of: $0) == nil }

    /// Workers wake the ring's owner once a batch, so it must not wait in the ring for the full number of completions.
    /// A ring cannot express a range longer than 32 bits, so these go to workers.
    @Test(.enabled(if: ioUringFailure == nil, "io_uring is not available here"))
    func ioUringWaitsForSeveralOperationsThatOnlyWorkersCanDo() throws {
        let file = TemporaryFile([1])
        let queue = try TestedQueue(.ioUring, queueDepth: 8)
        let page = [UInt8](repeating: 1, count: 4096)
        for turn in 0..<20 {
            for index in 0..<8 {
                // Dirty pages, so that the sync takes some time.
                #expect(pwrite(file.descriptor, page, page.count, Int(index) * page.count) == page.count)
                let range = AIOCore.Operation.syncRange(
                    Descriptor(file.descriptor, kind: .buffered), offset: Int64(index * page.count), count: 1 << 40,
                    flags: CK_SYNC_FILE_RANGE_WAIT_BEFORE | CK_SYNC_FILE_RANGE_WRITE | CK_SYNC_FILE_RANGE_WAIT_AFTER)
                queue.stage(try queue.prepare(range))
            }
            // The deadline is reached only on failure.
            let ready = queue.wait(atLeast: 8, until: Kernel.now() + 20_000_000_000)
            try #require(ready == 8, "turn \(turn)")
            while let delivery = queue.popReady() { try #require(delivery.completion.result == 0) }
        }
    }

    /// The kernel cancels a thread's operations when the thread exits; the thread that continues submits them again.
    @Test(arguments: engines)
    func anOperationOutlivesTheThreadThatSubmittedIt(_ engine: EngineKind) throws {
        let pipe = DescriptorPair.pipe()
        let queue = try TestedQueue(engine, queueDepth: 4)
        // This thread used the queue before, and continues to use it afterwards.
        queue.stage(try queue.prepare(.nop))
        #expect(queue.wait(atLeast: 1, until: .never) == 1)
        _ = queue.popReady()

        let read = AIOCore.Operation.read(
            Transfer(Descriptor(pipe.first, kind: .stream), queue.memory, count: 1, offset: 0))
        let token = try queue.prepare(read, context: 5)
        let issuer = Locked<Int32>(0)
        TestThread {
            issuer.withLock { $0 = Kernel.threadID() }
            queue.stage(token)
            queue.submit()
        }.join()
        // The kernel has cancelled the thread's operations when it is gone, which may be slightly after the join.
        #expect(eventually { threadName(issuer.withLock { $0 }).isEmpty })
        let early = queue.wait(atLeast: 1, until: Kernel.now())
        #expect(early == 0, "nothing was written yet")
        pipe.send([9])
        #expect(queue.wait(atLeast: 1, until: Kernel.now() + 20_000_000_000) == 1)
        let delivery = try #require(queue.popReady())
        #expect(delivery.completion.result == 1)
        #expect(delivery.context == 5)
        #expect(queue.memory.load(as: UInt8.self) == 9)
    }

    /// Each turn finds a completed operation before it checks any descriptor.
    @Test(arguments: engines)
    func whatWaitsIsHeardHoweverFastOtherOperationsComplete(_ engine: EngineKind) throws {
        let pipe = DescriptorPair.pipe()
        let queue = try TestedQueue(engine, queueDepth: 4)
        let read = AIOCore.Operation.read(
            Transfer(Descriptor(pipe.first, kind: .stream), queue.memory, count: 1, offset: 0))
        queue.stage(try queue.prepare(read, context: 5))
        queue.submit()
        pipe.send([9])
        let isHeard = eventually {
            if let token = try? queue.prepare(.nop) { queue.stage(token) }
            queue.turn(until: .never)
            var hasRead = false
            while let delivery = queue.popReady() { hasRead = hasRead || delivery.context == 5 }
            return hasRead
        }
        #expect(isHeard)
    }

    /// Such a call waits a second for a thread, since it may block the queue for as long as a server does not answer.
    @Test(arguments: engines)
    func aRemoteCallEndsInAProcessThatGetsNoThread(_ engine: EngineKind) async {
        await #expect(processExitsWith: .success) { [engine = engine.rawValue as UInt8] in
            let kind = try #require(EngineKind(rawValue: engine))
            let file = TemporaryFile([1])
            var remote = Descriptor(file.descriptor, kind: .buffered)
            remote.backing = .remote
            limitThreads(to: 0)
            let queue = try TestedQueue(kind, queueDepth: 4)
            // A ring cannot express a range longer than 32 bits, and gives it to a worker.
            let sync = AIOCore.Operation.syncRange(
                remote, offset: 0, count: 1 << 40, flags: CK_SYNC_FILE_RANGE_WAIT_BEFORE)
            queue.stage(try queue.prepare(sync))
            // The deadline is reached only on failure.
            let end = Kernel.now() + 20_000_000_000
            while queue.wait(atLeast: 1, until: end) == 0, Kernel.now() < end {}
            #expect(queue.popReady()?.completion.result == 0)
        }
    }

    @Test(arguments: engines)
    func nothingIsLeftOfAQueue(_ engine: EngineKind) async {
        await #expect(processExitsWith: .success) { [engine = engine.rawValue as UInt8] in
            let kind = try #require(EngineKind(rawValue: engine))
            let file = TemporaryFile([1])
            try EngineQueueTests.expectNoLeftovers {
                let queue = try TestedQueue(kind, queueDepth: 4)
                #expect(queue.exportDescriptor() >= 0)
                let sync = AIOCore.Operation.sync(Descriptor(file.descriptor, kind: .buffered), .full)
                queue.stage(try queue.prepare(sync))
                #expect(queue.wait(atLeast: 1, until: .never) == 1)
                _ = queue.popReady()
            }
        }
    }

    @Test(arguments: engines)
    func nothingIsLeftOfAQueueThatCouldNotBeMade(_ engine: EngineKind) async {
        await #expect(processExitsWith: .success) { [engine = engine.rawValue as UInt8] in
            let kind = try #require(EngineKind(rawValue: engine))
            var usual = ck_rlimit()
            #expect(Kernel.limit(CK_RLIMIT_NOFILE, &usual) == 0)
            // Every number of available descriptors, from none to one too few.
            for allowed in 0..<(kind == .ioUring ? 1 : 2) as Range<UInt64> {
                try EngineQueueTests.expectNoLeftovers {
                    let free = lowestFreeDescriptor()
                    let limit = ck_rlimit(soft: UInt64(free) + allowed, hard: usual.hard)
                    #expect(Kernel.setLimit(CK_RLIMIT_NOFILE, limit) == 0)
                    do throws(EngineFailure) {
                        _ = try EngineQueue(kind, EngineConfiguration(queueDepth: 4))
                        Issue.record("made with \(allowed) descriptors")
                    } catch {
                        #expect(error.errno == EMFILE)
                    }
                    // The check itself needs descriptors.
                    #expect(Kernel.setLimit(CK_RLIMIT_NOFILE, usual) == 0)
                }
            }
        }
    }

    /// For exit tests: runs `body` so often that a leak cannot be confused with the descriptors and threads that the
    /// runtime opens and starts meanwhile.
    private static func expectNoLeftovers(_ body: () throws -> Void) throws {
        let turns = 40
        let (descriptorCount, threadCount) = (openDescriptors().count, threads().count)
        for _ in 0..<turns { try body() }
        #expect(openDescriptors().count < descriptorCount + turns / 2)
        #expect(eventually { threads().count < threadCount + turns / 2 }, "a thread's last instructions take a moment")
        #expect(!ringIsMapped())
    }

    @Test(arguments: [(0, 1), (-1, 1), (16_001, 1), (1, 0), (1, 4097)])
    func aConfigurationOutOfRangeIsRefused(_ queueDepth: Int, _ workerLimit: Int) {
        let configuration = EngineConfiguration(queueDepth: queueDepth, workerLimit: workerLimit)
        for engine in EngineKind.allCases {
            do throws(EngineFailure) {
                _ = try EngineQueue(engine, configuration)
                Issue.record("made with \(queueDepth), \(workerLimit)")
            } catch {
                #expect(error.step == .configuration)
                #expect(error.engine == engine)
            }
        }
    }
}

private func lowestFreeDescriptor() -> Int32 {
    let number = dup(0)
    close(number)
    return number
}

/// Whether a ring is mapped in this process.
private func ringIsMapped() -> Bool {
    guard let maps = fopen("/proc/self/maps", "r") else { return true }
    defer { fclose(maps) }
    var line = [CChar](repeating: 0, count: 4096)
    while fgets(&line, 4096, maps) != nil {
        if strstr(line, "[io_uring]") != nil { return true }
    }
    return false
}
