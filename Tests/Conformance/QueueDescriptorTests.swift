import AIO
import AIOCore
import CKernel
import Glibc
import Testing

/// `IOQueue.pollableDescriptor`: readable, for poll(2) and in a foreign epoll(7), while there are completions to drain.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct QueueDescriptorTests {
    /// How a program may wait for the queue.
    enum Wait: String, CaseIterable, Sendable, CustomTestStringConvertible {
        case poll, epoll

        var testDescription: String { rawValue }
    }

    @Test(arguments: engines, Wait.allCases)
    func itIsNotReadableWhileNothingIsReady(_ engine: EngineKind, _ wait: Wait) async throws {
        try await withQueue(engine) { queue in
            try await Ends.with { ends in
                let watch = try Watch(queue.pollableDescriptor, wait)
                #expect(!watch.isReadable(withinMs: 0))
                let memory = Memory(count: 1)
                let token = try queue.prepare(.read(memory.transfer(ends.reading)))
                try queue.submit()
                #expect(!watch.isReadable(withinMs: 0))
                queue.requestCancel(token)
                #expect(watch.isReadable())
                #expect(queue.completions() == [Drained(token, -ECANCELED, 0)])
                #expect(!watch.isReadable(withinMs: 0))
            }
        }
    }

    @Test(arguments: engines, Wait.allCases)
    func aStreamThatBecomesReadyMakesItReadable(_ engine: EngineKind, _ wait: Wait) async throws {
        try await withQueue(engine) { queue in
            try await Ends.with { ends in
                let watch = try Watch(queue.pollableDescriptor, wait)
                for round in UInt8(0)..<5 {
                    let memory = Memory(count: 1)
                    try queue.prepare(.read(memory.transfer(ends.reading)))
                    try queue.submit()
                    ends.put([round])
                    try queue.drainOne(watch, result: 1)
                    #expect(memory.bytes == [round])
                    #expect(!watch.isReadable(withinMs: 0))
                }
            }
        }
    }

    /// Operations of all kinds: completed inline, by a worker, and by the kernel.
    @Test(arguments: engines, Wait.allCases)
    func everyKindOfOperationMakesItReadable(_ engine: EngineKind, _ wait: Wait) async throws {
        try await withScratch { scratch in
            let descriptor = try openDescriptor(try scratch.file("kinds", [1, 2, 3]), O_RDWR)
            defer { closeDescriptor(descriptor) }
            let memory = Memory(count: 3)
            let file = Descriptor(descriptor)
            let operations: [Operation] = [
                .nop, .read(memory.transfer(descriptor)), .write(memory.transfer(descriptor)), .sync(file, .full),
                .poll(file, events: CK_POLLIN), .truncate(file, size: 10),
                // A range longer than io_uring can express, so that a worker executes it there as well.
                .syncRange(file, offset: 0, count: 1 << 33, flags: 2), .cancel(target: Token(rawValue: .max)),
            ]
            try await withQueue(engine) { queue in
                let watch = try Watch(queue.pollableDescriptor, wait)
                for operation in operations {
                    try queue.prepare(operation)
                    try queue.submit()
                    #expect(watch.isReadable(), "\(operation)")
                    while queue.completions().isEmpty { sched_yield() }
                }
            }
        }
    }

    @Test(arguments: engines, Wait.allCases)
    func timeoutsAndDeadlinesMakeItReadable(_ engine: EngineKind, _ wait: Wait) async throws {
        try await withQueue(engine) { queue in
            try await Ends.with { ends in
                let watch = try Watch(queue.pollableDescriptor, wait)
                try queue.prepare(.timeout(deadline: monotonicNow() + 2_000_000))
                try queue.submit()
                try queue.drainOne(watch, result: 0)
                let memory = Memory(count: 1)
                try queue.prepare(.read(memory.transfer(ends.reading)), deadline: .soon)
                try queue.submit()
                try queue.drainOne(watch, result: -ECANCELED)
                #expect(!watch.isReadable(withinMs: 0))
            }
        }
    }

    @Test(arguments: engines)
    func itIsReadableIfAskedForWhenSomethingIsReadyAlready(_ engine: EngineKind) async throws {
        try await withQueue(engine) { queue in
            try queue.prepare(.nop)
            try queue.waitPatiently()
            let watch = try Watch(queue.pollableDescriptor, .poll)
            #expect(watch.isReadable())
            #expect(queue.completions().count == 1)
            #expect(!watch.isReadable(withinMs: 0))
            #expect(try queue.pollableDescriptor == watch.descriptor)
        }
    }

    @Test(arguments: engines)
    func itStaysReadableUntilEverythingIsDrained(_ engine: EngineKind) async throws {
        try await withQueue(engine) { queue in
            let watch = try Watch(queue.pollableDescriptor, .epoll)
            for _ in 0..<3 { try queue.prepare(.nop) }
            try queue.waitPatiently(atLeast: 3)
            for _ in 0..<3 { #expect(watch.isReadable()) }
            #expect(queue.completions().count == 3)
            #expect(!watch.isReadable(withinMs: 0))
        }
    }
}

/// A waiter for a queue's descriptor.
private final class Watch {
    let descriptor: Int32
    private let epoll: Int32

    init(_ descriptor: Int32, _ wait: QueueDescriptorTests.Wait) throws {
        self.descriptor = descriptor
        guard wait == .epoll else {
            epoll = -1
            return
        }
        epoll = Int32(SystemCall.call(CK_NR_epoll_create1, Int(CK_EPOLL_CLOEXEC), 0, 0, 0, 0, 0))
        var event = ck_epoll_event(events: CK_POLLIN, data: 0)
        let added = withUnsafePointer(to: &event) {
            SystemCall.call(CK_NR_epoll_ctl, Int(epoll), Int(CK_EPOLL_CTL_ADD), Int(descriptor), address($0), 0, 0)
        }
        try #require(epoll >= 0 && added == 0)
    }

    deinit { if epoll >= 0 { closeDescriptor(epoll) } }

    /// An epoll descriptor is readable while it has events, so poll(2) serves for both.
    func isReadable(withinMs timeoutMs: Int32 = 30_000) -> Bool {
        var entry = pollfd(fd: epoll >= 0 ? epoll : descriptor, events: Int16(POLLIN), revents: 0)
        return Glibc.poll(&entry, 1, timeoutMs) == 1
    }
}

extension IOQueue {
    /// Waits for the descriptor and drains until there is one completion.
    fileprivate func drainOne(_ watch: Watch, result: Int32) throws {
        while true {
            try #require(watch.isReadable())
            let drained = completions()
            // The descriptor is also readable when the queue has internal work.
            guard !drained.isEmpty else { continue }
            #expect(drained.map(\.result) == [result])
            return
        }
    }
}
