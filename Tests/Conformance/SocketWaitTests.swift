import AIO
import AIOCore
import CKernel
import Glibc
import Testing

/// Waits on sockets: in both directions, many at a time, with cancels and deadlines.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct SocketWaitTests {
    /// Operations that wait indefinitely.
    enum Wait: String, Sendable, CaseIterable {
        case accept, connect, receive, receiveMessage, send
    }

    @Test(arguments: engines, Wait.allCases)
    func whatWaitsCanBeCancelled(_ engine: EngineKind, _ wait: Wait) async throws {
        try await withRuntime(engine) { runtime in
            try await withWaiting(wait) { operation in
                let task = Task { try await runtime.perform(operation) }
                try await eventually { runtime.inFlightCount == 1 }
                task.cancel()
                await expectError(.cancelled) { try await task.value }
            }
        }
    }

    @Test(arguments: ways, Wait.allCases)
    func whatWaitsEndsAtItsDeadline(_ way: Way, _ wait: Wait) async throws {
        try await way.run { performer in
            try await withWaiting(wait) { operation in
                for deadline in [Deadline.soon, .after(.seconds(-1))] {
                    await expectError(.deadlineExceeded) { try await performer.perform(operation, deadline: deadline) }
                }
            }
        }
    }

    /// An attempt may be in progress when the deadline passes.
    @Test(arguments: engines)
    func deadlinesOfConnectsThatAreTriedNowAndThenAreKept(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            try await Listener.with(.unix, backlog: 0) { listener in
                let others = try listener.fillUp()
                let clients = try (0..<64).map { _ in try listener.socket() }
                defer { for socket in others + clients { closeDescriptor(socket) } }
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for (index, client) in clients.enumerated() {
                        let connect = listener.connect(client)
                        group.addTask {
                            let deadline = Deadline.after(.microseconds(1000 + 200 * index))
                            await expectError(.deadlineExceeded) {
                                try await runtime.perform(connect, deadline: deadline)
                            }
                        }
                    }
                    try await group.waitForAll()
                }
            }
        }
    }

    /// Calls `body` with an operation that waits until it is ended.
    private func withWaiting(_ wait: Wait, _ body: (AIOCore.Operation) async throws -> Void) async throws {
        let memory = Memory(count: 64)
        switch wait {
        case .accept:
            try await Listener.with { try await body($0.accept) }
        case .connect:
            // Of a Unix-domain socket, whose connect cannot wait by a poll.
            try await Listener.with(.unix, backlog: 0) { listener in
                let others = try listener.fillUp()
                let client = try listener.socket()
                defer { for socket in others + [client] { closeDescriptor(socket) } }
                try await body(listener.connect(client))
            }
        case .receive:
            try await withConnection { client, _ in try await body(memory.receive(client)) }
        case .receiveMessage:
            try await withConnection { client, _ in
                let message = Message([memory])
                try await body(message.receive(client))
                withExtendedLifetime(message) {}
            }
        case .send:
            // To a peer that does not read.
            try await withConnection(.unix) { client, server in
                _ = Ends(reading: server, writing: client).fillUp()
                try await body(memory.send(client))
            }
        }
        withExtendedLifetime(memory) {}
    }

    @Test(arguments: engines)
    func aTCPConnectThatGetsNoAnswerCanBeCancelled(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            try await Listener.with(.v4, backlog: 0) { listener in
                let others = try listener.fillUp()
                let client = try listener.socket()
                defer { for socket in others + [client] { closeDescriptor(socket) } }
                let task = Task { try await runtime.perform(listener.connect(client)) }
                try await eventually { runtime.inFlightCount == 1 }
                task.cancel()
                await expectError(.cancelled) { try await task.value }
            }
        }
    }

    @Test(arguments: engines)
    func aReceiveThatWaitsDoesNotHoldUpASend(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            try await withConnection { client, server in
                let receive = Task {
                    let memory = Memory(count: 10)
                    let count = try await runtime.perform(memory.receive(client))
                    return memory.bytes(Int(count))
                }
                try await eventually { runtime.inFlightCount == 1 }
                let sent = Memory([5])
                #expect(try await runtime.perform(sent.send(client)) == 1)
                #expect(Glibc.send(server, [UInt8(6)], 1, 0) == 1)
                #expect(try await receive.value == [6])
                withExtendedLifetime(sent) {}
            }
        }
    }

    /// Rings promise no order.
    @Test(arguments: engines)
    func whatWaitsOnOneSocketIsServedOnceEachAndInOrder(_ engine: EngineKind) async throws {
        try await withQueue(engine) { queue in
            try await withConnection(.unix) { client, server in
                let filled = Ends(reading: server, writing: client).fillUp()
                let received = (0..<8).map { _ in Memory(count: 1) }
                let sent = (0..<8).map { Memory([UInt8($0)]) }
                for (index, memory) in received.enumerated() {
                    try queue.prepare(memory.receive(client), context: UInt(index))
                }
                for (index, memory) in sent.enumerated() {
                    try queue.prepare(memory.send(client), context: UInt(8 + index))
                }
                try queue.submit()
                #expect(queue.completions().isEmpty)
                #expect(Glibc.send(server, Array(UInt8(100)..<108), 8, 0) == 8)
                try queue.waitPatiently(atLeast: 8)
                let receives = queue.completions()
                #expect(Set(receives.map(\.context)) == Set(0..<8))
                #expect(receives.allSatisfy { $0.result == 1 })
                let bytes = received.map { $0.bytes[0] }
                #expect((engine == .ioUring ? bytes.sorted() : bytes) == Array(100..<108))
                Ends(reading: server, writing: client).drain(filled)
                try queue.waitPatiently(atLeast: 8)
                #expect(Set(queue.completions().map(\.context)) == Set(8..<16))
                var arrived: [UInt8] = []
                while arrived.count < 8 { arrived += Ends(reading: server, writing: client).get(20) }
                #expect((engine == .ioUring ? arrived.sorted() : arrived) == Array(0..<8))
                withExtendedLifetime(sent) {}
            }
        }
    }

    @Test(arguments: engines)
    func receivesThatWaitHoldNoWorker(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let descriptor = try openDescriptor(try scratch.file("beside", [1, 2, 3]), O_RDWR)
            defer { closeDescriptor(descriptor) }
            try await withRuntime(engine, { $0.workerLimit = 1 }) { runtime in
                try await Listener.with { listener in
                    try await withConnection { client, _ in
                        let accepts = (0..<4).map { _ in Task { try await runtime.perform(listener.accept) } }
                        let receives = (0..<4).map { _ in
                            Task {
                                let memory = Memory(count: 1)
                                defer { withExtendedLifetime(memory) {} }
                                return try await runtime.perform(memory.receive(client))
                            }
                        }
                        try await eventually { runtime.inFlightCount == 8 }
                        #expect(try await runtime.perform(.sync(Descriptor(descriptor), .full)) == 0)
                        #expect(try await runtime.requestCancelAll() == 8)
                        for task in accepts + receives { await expectError(.cancelled) { try await task.value } }
                    }
                }
            }
        }
    }

    @Test(arguments: engines, [false, true])
    func aThousandConnectionsThroughOneListenerAllGetTheirAnswer(
        _ engine: EngineKind, _ nonBlocking: Bool
    ) async throws {
        let total = 1000
        try await withRuntime(engine) { runtime in
            try await Listener.with(backlog: 64, nonBlocking: nonBlocking) { listener in
                let server = Task {
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        for _ in 0..<total {
                            let socket = try await runtime.perform(listener.accept)
                            group.addTask { try await Self.answer(socket, runtime) }
                        }
                        try await group.waitForAll()
                    }
                }
                try await withThrowingTaskGroup(of: Bool.self) { group in
                    for number in 0..<total {
                        if number >= 32 { #expect(try await group.next() == true) }
                        group.addTask { try await Self.ask(UInt8(truncatingIfNeeded: number), listener, runtime) }
                    }
                    for try await isRight in group { #expect(isRight) }
                }
                try await server.value
            }
        }
    }

    private static func answer(_ socket: Int32, _ runtime: IORuntime) async throws {
        defer { closeDescriptor(socket) }
        let memory = Memory(count: 1)
        #expect(try await runtime.perform(memory.receive(socket)) == 1)
        #expect(try await runtime.perform(memory.send(socket)) == 1)
        withExtendedLifetime(memory) {}
    }

    private static func ask(_ byte: UInt8, _ listener: Listener, _ runtime: IORuntime) async throws -> Bool {
        let socket = try listener.socket()
        defer { closeDescriptor(socket) }
        #expect(try await runtime.perform(listener.connect(socket)) == 0)
        let sent = Memory([byte])
        #expect(try await runtime.perform(sent.send(socket)) == 1)
        let received = Memory(count: 2)
        #expect(try await runtime.perform(received.receive(socket)) == 1)
        withExtendedLifetime(sent) {}
        return received.bytes(1) == [byte]
    }

    @Test(arguments: engines)
    func registeredSocketsWorkByTheirIndex(_ engine: EngineKind) async throws {
        try await withQueue(engine) { queue in
            try await withConnection { client, server in
                try queue.register(files: [client, server])
                let sent = Memory([1, 2])
                let received = Memory(count: 5)
                let one = Descriptor.registered(0, kind: .stream)
                let other = Descriptor.registered(1, kind: .stream)
                try queue.prepare(.socket(.receive(other, received.base, count: 5, flags: 0)), context: 1)
                try queue.prepare(.socket(.send(one, sent.base, count: 2, flags: 0)), context: 2)
                try queue.waitPatiently(atLeast: 2)
                #expect(Set(queue.completions().map(\.context)) == [1, 2])
                #expect(received.bytes(2) == [1, 2])
                let nothing = Descriptor.registered(7, kind: .stream)
                try queue.prepare(.socket(.receive(nothing, received.base, count: 5, flags: 0)))
                try queue.waitPatiently()
                #expect(queue.completions().map(\.result) == [-EBADF])
                try queue.unregisterFiles()
                withExtendedLifetime(sent) {}
            }
        }
    }

    /// A connection that arrives while its accept is being cancelled is not lost: this accept or the next one returns
    /// it.
    @Test(arguments: engines)
    func aCancelThatRacesWithAConnectionLosesNone(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            try await Listener.with { listener in
                for round in 0..<100 {
                    let accept = Task { try await runtime.perform(listener.accept) }
                    if round % 2 == 0 { try await eventually { runtime.inFlightCount == 1 } }
                    let client = try listener.connected()
                    accept.cancel()
                    if let socket = try? await accept.value {
                        closeDescriptor(socket)
                    } else {
                        closeDescriptor(try await runtime.perform(listener.accept))
                    }
                    closeDescriptor(client)
                }
            }
        }
    }

    @Test(arguments: engines)
    func aQueueThatIsDroppedClosesTheConnectionThatNobodyTook(_ engine: EngineKind) async throws {
        try await BlockingThread.with {
            try await Listener.with { listener in
                var configuration = IOQueue.Configuration()
                configuration.engine = .forced(engine)
                var queue: IOQueue? = try IOQueue(configuration)
                let client = try listener.connected()
                defer { closeDescriptor(client) }
                try queue?.prepare(listener.accept)
                try queue?.wait()
                queue = nil
                var byte: UInt8 = 0
                #expect(read(client, &byte, 1) == 0)
            }
        }
    }
}
