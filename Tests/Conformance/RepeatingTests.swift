import AIO
import AIOCore
import CKernel
import Glibc
import Testing

/// Operations with several completions: all but the last carry `more`, none is lost, and they do not pile up.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct RepeatingTests {
    /// Drains completions with their flags.
    private func drain(_ queue: IOQueue) -> [Completion] {
        var drained: [Completion] = []
        queue.drain { completion, _ in drained.append(completion) }
        return drained
    }

    private func next(_ queue: IOQueue) throws -> Completion {
        try queue.waitPatiently()
        let drained = drain(queue)
        #expect(drained.count == 1)
        return try #require(drained.first)
    }

    @Test(arguments: engines)
    func everyConnectionIsAccepted(_ engine: EngineKind) async throws {
        try await withQueue(engine) { queue in
            try await Listener.with { listener in
                let accept = SocketCall.acceptEach(.socket(listener.descriptor), flags: CK_SOCK_CLOEXEC)
                let token = try queue.prepare(.socket(accept))
                try queue.submit()
                let clients = try (0..<20).map { _ in try listener.connected() }
                for _ in clients {
                    let completion = try next(queue)
                    #expect(completion.token == token)
                    #expect(completion.flags.contains(.more))
                    #expect(completion.result >= 0)
                    closeDescriptor(completion.result)
                    #expect(queue.inFlightCount == 1)
                }
                var byte: UInt8 = 0
                for client in clients {
                    #expect(read(client, &byte, 1) == 0)
                    closeDescriptor(client)
                }
                #expect(queue.requestCancel(token))
                let last = try next(queue)
                #expect(last.token == token && last.result == -ECANCELED && !last.flags.contains(.more))
                #expect(!queue.requestCancel(token))
            }
        }
    }

    @Test(arguments: engines)
    func aCancelIsHeededWhileACompletionWaits(_ engine: EngineKind) async throws {
        try await withQueue(engine) { queue in
            try await Listener.with { listener in
                let client = try listener.connected()
                defer { closeDescriptor(client) }
                let accept = SocketCall.acceptEach(.socket(listener.descriptor), flags: CK_SOCK_CLOEXEC)
                let token = try queue.prepare(.socket(accept))
                try queue.waitPatiently()
                #expect(queue.requestCancel(token))
                #expect(!queue.requestCancel(token))
                let both = drain(queue)
                #expect(both.map { $0.flags.contains(.more) } == [true, false])
                #expect(both.last?.result == -ECANCELED)
                if let accepted = both.first?.result { closeDescriptor(accepted) }
            }
        }
    }

    @Test(arguments: engines)
    func aDeadlineEndsARepeatingOperation(_ engine: EngineKind) async throws {
        try await withQueue(engine) { queue in
            try await Listener.with { listener in
                let accept = SocketCall.acceptEach(.socket(listener.descriptor), flags: CK_SOCK_CLOEXEC)
                try queue.prepare(.socket(accept), deadline: .soon)
                let last = try next(queue)
                #expect(last.result == -ECANCELED && last.flags.contains(.deadlinePassed))
                #expect(!last.flags.contains(.more))
            }
        }
    }

    @Test(arguments: engines)
    func aPollTellsOfWhatHoldsUntilItHoldsNoMore(_ engine: EngineKind) async throws {
        try await withQueue(engine) { queue in
            try await Ends.with { ends in
                let token = try queue.prepare(.pollEach(Descriptor(ends.reading), events: CK_POLLIN))
                try queue.submit()
                #expect(queue.completions().isEmpty)
                for round in 0..<3 {
                    ends.put([1, 2])
                    // Reads one byte at a time: the poll reports the rest again.
                    for _ in 0..<2 {
                        try queue.waitPatiently()
                        #expect(ends.get(1).count == 1)
                        let completion = try next(queue)
                        #expect(completion.result == Int32(CK_POLLIN), "round \(round)")
                        #expect(completion.flags.contains(.more))
                    }
                    // A step that began while there still was data.
                    _ = drain(queue)
                }
                queue.requestCancel(token)
                while let completion = try? next(queue), completion.flags.contains(.more) {}
                #expect(queue.inFlightCount == 0)
            }
        }
    }

    @Test(arguments: engines)
    func aTimerRepeatsAndCountsWhatNobodyDrained(_ engine: EngineKind) async throws {
        try await withQueue(engine) { queue in
            let start = monotonicNow()
            let interval: UInt64 = 2_000_000
            let token = try queue.prepare(.repeatingTimeout(first: start + interval, interval: interval))
            var count: UInt64 = 0
            while count < 10 {
                let completion = try next(queue)
                #expect(completion.result >= 1 && completion.flags.contains(.more))
                count += UInt64(completion.result)
                #expect(monotonicNow() >= start + count * interval)
            }
            // Until another timer expires, nothing is drained: one completion waits, and the next one counts the rest.
            try queue.prepare(.timeout(deadline: start + (count + 5) * interval))
            try queue.waitPatiently(atLeast: 2)
            let late = drain(queue).map(\.result)
            try #require(late.count == 2 && late[1] == 0)
            count += UInt64(late[0])
            count += UInt64(try next(queue).result)
            #expect(count >= 15)
            #expect(queue.requestCancel(token))
            #expect(try next(queue).result == -ECANCELED)
            try queue.prepare(.repeatingTimeout(first: 1, interval: 0))
            #expect(try next(queue).result == -EINVAL)
        }
    }

    @Test(arguments: engines, [false, true])
    func receivesTakeTheirBufferWhenThereIsData(_ engine: EngineKind, _ isRepeating: Bool) async throws {
        try await withQueue(engine) { queue in
            try await withConnection { client, server in
                let memory = Memory(count: 4 * 16)
                let group = UInt16(
                    try queue.blockingPerform(.buffers(.register(base: memory.base, size: 16, count: 4))))
                let receive = SocketCall.receiveBuffered(
                    .socket(server), group: group, flags: 0, isRepeating: isRepeating)
                var isLive = false
                for round in UInt8(0)..<10 {
                    if !isLive { try queue.prepare(.socket(receive)) }
                    try queue.submit()
                    #expect(Glibc.send(client, [round, 9] as [UInt8], 2, 0) == 2)
                    let completion = try next(queue)
                    isLive = completion.flags.contains(.more)
                    #expect(isLive == isRepeating)
                    #expect(completion.result == 2)
                    let buffer = try #require(completion.flags.buffer)
                    #expect(memory.base.load(fromByteOffset: Int(buffer) * 16, as: UInt8.self) == round)
                    try queue.prepare(.buffers(.provide(group: group, buffer: buffer)))
                    try queue.waitPatiently()
                    #expect(queue.completions().map(\.result) == [0])
                }
                #expect(Glibc.shutdown(client, Int32(SHUT_WR)) == 0)
                if !isLive { try queue.prepare(.socket(receive)) }
                let last = try next(queue)
                #expect(last.result == 0 && last.flags.buffer == nil && !last.flags.contains(.more))
                try queue.prepare(.buffers(.unregister(group: group)))
                #expect(try next(queue).result == 0)
                withExtendedLifetime(memory) {}
            }
        }
    }

    @Test(arguments: engines)
    func withoutAFreeBufferAReceiveSaysSoAndLosesNothing(_ engine: EngineKind) async throws {
        try await withQueue(engine) { queue in
            try await withConnection { client, server in
                let memory = Memory(count: 4)
                let group = UInt16(try queue.blockingPerform(.buffers(.register(base: memory.base, size: 4, count: 1))))
                let receive = SocketCall.receiveBuffered(.socket(server), group: group, flags: 0, isRepeating: true)
                try queue.prepare(.socket(receive))
                #expect(Glibc.send(client, [1, 2, 3, 4, 5, 6] as [UInt8], 6, 0) == 6)
                let first = try next(queue)
                #expect(first.result == 4 && first.flags.contains(.more))
                let last = try next(queue)
                #expect(last.result == -ENOBUFS && !last.flags.contains(.more))
                // The buffer is in use.
                try queue.prepare(.buffers(.unregister(group: group)))
                #expect(try next(queue).result == -EBUSY)
                try queue.prepare(.buffers(.provide(group: group, buffer: 0)))
                #expect(try next(queue).result == 0)
                // Providing it twice is an error.
                try queue.prepare(.buffers(.provide(group: group, buffer: 0)))
                #expect(try next(queue).result == -EINVAL)
                let token = try queue.prepare(.socket(receive))
                #expect(try next(queue).result == 2)
                queue.requestCancel(token)
                #expect(try next(queue).result == -ECANCELED)
                withExtendedLifetime(memory) {}
            }
        }
    }

    @Test(arguments: engines)
    func aReceiveThatWaitsHoldsNoBuffer(_ engine: EngineKind) async throws {
        try await withQueue(engine) { queue in
            try await withConnection { client, server in
                let memory = Memory(count: 4)
                let group = UInt16(try queue.blockingPerform(.buffers(.register(base: memory.base, size: 4, count: 1))))
                // Both receives wait, with a single buffer between them.
                for socket in [client, server] {
                    let receive = SocketCall.receiveBuffered(
                        .socket(socket), group: group, flags: 0, isRepeating: false)
                    try queue.prepare(.socket(receive), context: UInt(socket))
                }
                try queue.submit()
                for (sender, receiver) in [(client, server), (server, client)] {
                    #expect(Glibc.send(sender, [7] as [UInt8], 1, 0) == 1)
                    try queue.waitPatiently()
                    #expect(queue.completions().map(\.context) == [UInt(receiver)])
                    try queue.prepare(.buffers(.provide(group: group, buffer: 0)), context: 9999)
                    try queue.waitPatiently()
                    #expect(queue.completions().map(\.context) == [9999])
                }
                withExtendedLifetime(memory) {}
            }
        }
    }

    /// A caller that only waits for the queue's descriptor gets every completion.
    @Test(arguments: engines)
    func theExportedDescriptorTellsOfEachCompletion(_ engine: EngineKind) async throws {
        try await withQueue(engine) { queue in
            try await Listener.with { listener in
                let descriptor = try queue.pollableDescriptor
                let accept = SocketCall.acceptEach(.socket(listener.descriptor), flags: CK_SOCK_CLOEXEC)
                let token = try queue.prepare(.socket(accept))
                try queue.submit()
                for _ in 0..<5 {
                    let client = try listener.connected()
                    var accepted: Int32?
                    while accepted == nil {
                        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
                        try #require(Glibc.poll(&entry, 1, 30_000) == 1)
                        accepted = drain(queue).first?.result
                    }
                    if let accepted { closeDescriptor(accepted) }
                    closeDescriptor(client)
                }
                queue.requestCancel(token)
                #expect(try next(queue).result == -ECANCELED)
            }
        }
    }

    @Test(arguments: engines)
    func aTaskIsToldToRepeatTheSingleOne(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            _ = await expectError(.invalidArgument) {
                try await runtime.perform(.repeatingTimeout(first: 1, interval: 1))
            }
        }
    }

    @Test(arguments: engines)
    func aQueueThatIsDroppedEndsWhatRepeats(_ engine: EngineKind) async throws {
        try await BlockingThread.with {
            try await Listener.with { listener in
                var configuration = IOQueue.Configuration()
                configuration.engine = .forced(engine)
                configuration.queueDepth = 4
                var queue: IOQueue? = try IOQueue(configuration)
                let accept = SocketCall.acceptEach(.socket(listener.descriptor), flags: CK_SOCK_CLOEXEC)
                try queue?.prepare(.socket(accept))
                let clients = try (0..<3).map { _ in try listener.connected() }
                try queue?.wait()
                queue = nil
                // The accepted connection is closed; the others are still with the listener.
                var byte: UInt8 = 0
                #expect(read(clients[0], &byte, 1) == 0)
                for client in clients { closeDescriptor(client) }
            }
        }
    }
}
