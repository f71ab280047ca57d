import AIO
import AIOCore
import CKernel
import Glibc
import Testing

/// Polls of descriptors that are themselves for waiting: epoll, signalfd, timerfd and inotify.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct ForeignDescriptorTests {
    @Test(arguments: engines, ForeignKind.allCases)
    func aPollEndsWhenItBecomesReadable(_ engine: EngineKind, _ kind: ForeignKind) async throws {
        try await withQueue(engine) { queue in
            try await ForeignDescriptor.with(kind) { foreign in
                try queue.prepare(.poll(Descriptor(foreign.descriptor), events: CK_POLLIN))
                try queue.submit()
                #expect(queue.completions() == [])
                foreign.makeReadable()
                try queue.waitPatiently()
                #expect(queue.completions().map(\.result) == [Int32(CK_POLLIN)])
                foreign.reset()
            }
        }
    }

    @Test(arguments: engines, ForeignKind.allCases)
    func aRepeatedPollTellsEachTime(_ engine: EngineKind, _ kind: ForeignKind) async throws {
        try await withQueue(engine) { queue in
            try await ForeignDescriptor.with(kind) { foreign in
                let token = try queue.prepare(.pollEach(Descriptor(foreign.descriptor), events: CK_POLLIN))
                for _ in 0..<3 {
                    foreign.makeReadable()
                    try queue.waitPatiently()
                    // Before the drain, after which the next step polls again.
                    foreign.reset()
                    #expect(queue.completions().map(\.result) == [Int32(CK_POLLIN)])
                }
                queue.requestCancel(token)
                try queue.waitPatiently()
                #expect(queue.completions().map(\.result) == [-ECANCELED])
            }
        }
    }

    /// One queue's descriptor is polled in another queue, for all pairs of engines.
    @Test(arguments: engines, engines)
    func aQueueIsWaitedForInAnother(_ outer: EngineKind, _ inner: EngineKind) async throws {
        try await withQueue(outer) { outer in
            var configuration = IOQueue.Configuration()
            configuration.engine = .forced(inner)
            configuration.queueDepth = 8
            let inner = try IOQueue(configuration)
            try await Ends.with { ends in
                let memory = Memory(count: 1)
                let descriptor = Descriptor(try inner.pollableDescriptor)
                for round in UInt8(0)..<3 {
                    try outer.prepare(.poll(descriptor, events: CK_POLLIN))
                    try inner.prepare(.read(memory.transfer(ends.reading)))
                    try inner.submit()
                    try outer.submit()
                    #expect(outer.completions() == [])
                    ends.put([round])
                    var got: [Int32] = []
                    while got.isEmpty {
                        try outer.waitPatiently()
                        #expect(outer.completions().map(\.result) == [Int32(CK_POLLIN)])
                        got = inner.completions().map(\.result)
                        // The descriptor is also readable when the queue has internal work.
                        if got.isEmpty { try outer.prepare(.poll(descriptor, events: CK_POLLIN)) }
                    }
                    #expect(got == [1] && memory.bytes == [round])
                }
            }
        }
    }
}
