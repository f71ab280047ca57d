import AIO
import Glibc
import Synchronization
import Testing
import UnitSupport

/// Signals as a sequence. Each case is an exit test, so that no signal belongs to another test.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct ReceivedSignalTests {
    private static let names = engines.map(\.description)

    @Test(.notSimulated(.process), arguments: names)
    func aSignalIsToldWithItsSender(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            try await withSignalRuntime(name) { runtime in
                let signals = try Signals([.user1, .terminate], runtime: runtime)
                for signal in [Signal.terminate, .user1] {
                    let wait = Task { try await signals.next() }
                    try await eventually { runtime.inFlightCount == 1 }
                    send(signal)
                    let received = try #require(try await wait.value)
                    #expect(received.signal == signal && received.count == 1)
                    #expect(received.sender?.process == getpid() && received.sender?.user == getuid())
                }
                try await signals.close()
            }
        }
    }

    @Test(.notSimulated(.process), arguments: names)
    func aLoopGetsOneSignalAfterTheOtherUntilTheSequenceIsClosed(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            try await withSignalRuntime(name) { runtime in
                let signals = try Signals([.user1, .user2], runtime: runtime)
                send(.user2)
                var got: [Signal] = []
                for try await received in signals {
                    got.append(received.signal)
                    if got.count < 5 { send(.user1) } else { try await signals.close() }
                }
                #expect(got == [.user2, .user1, .user1, .user1, .user1])
                #expect(try await signals.next() == nil)
                await expectError(.fileClosed) { try await signals.close() }
            }
        }
    }

    @Test(.notSimulated(.process), arguments: names)
    func everySequenceGetsEverySignalAndCountsWhatIsNotAskedFor(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            try await withSignalRuntime(name) { runtime in
                let busy = try Signals([.user1, .user2], runtime: runtime)
                let attentive = try Signals([.user1, .user2], runtime: runtime)
                for _ in 0..<3 {
                    send(.user2)
                    #expect(try await attentive.next()?.signal == .user2)
                }
                send(.user1)
                #expect(try await attentive.next()?.count == 1)
                let told = [try await busy.next(), try await busy.next()]
                #expect(told.map { $0?.signal } == [.user1, .user2])
                #expect(told.map { $0?.count } == [1, 3])
                await expectError(.deadlineExceeded) { try await busy.next(deadline: .soon) }
            }
        }
    }

    @Test(.notSimulated(.process), arguments: names)
    func whatWasThereBeforeIsPutBackByTheLastOne(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            Glibc.signal(SIGUSR1) { _ in earlierHandler.wrappingAdd(1, ordering: .relaxed) }
            Glibc.signal(SIGUSR2, SIG_IGN)
            try await withSignalRuntime(name) { runtime in
                for round in 1...3 {
                    let first = try Signals([.user1, .user2], runtime: runtime)
                    // Dropping the sequence has the same effect as closing it.
                    var second: Signals? = try Signals([.user1], runtime: runtime)
                    try await first.close()
                    send(.user1)
                    #expect(try await second?.next()?.count == 1)
                    #expect(earlierHandler.load(ordering: .relaxed) == round - 1)
                    second = nil
                    try await eventually { isHandled(SIGUSR1, by: SIG_IGN) || earlierHandlerIsBack() }
                    send(.user1)
                    try await eventually { earlierHandler.load(ordering: .relaxed) == round }
                    #expect(isHandled(SIGUSR2, by: SIG_IGN))
                }
            }
        }
    }

    @Test(.notSimulated(.process), arguments: names)
    func aHandlerThatSomebodyElseSetMeanwhileStays(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            try await withSignalRuntime(name) { runtime in
                let signals = try Signals([.user1, .user2], runtime: runtime)
                Glibc.signal(SIGUSR1, SIG_IGN)
                try await signals.close()
                #expect(isHandled(SIGUSR1, by: SIG_IGN))
                #expect(isHandled(SIGUSR2, by: SIG_DFL))
            }
        }
    }

    @Test(.notSimulated(.process), arguments: names)
    func aWaitEndsWithACancelADeadlineOrAClose(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            try await withSignalRuntime(name) { runtime in
                let signals = try Signals([.user1], runtime: runtime)
                await expectError(.deadlineExceeded) { try await signals.next(deadline: .soon) }
                let cancelled = Task { try await signals.next() }
                try await eventually { runtime.inFlightCount == 1 }
                cancelled.cancel()
                await expectError(.cancelled) { try await cancelled.value }
                let loop = Task { for try await signal in signals { Issue.record("\(signal)") } }
                try await eventually { runtime.inFlightCount == 1 }
                loop.cancel()
                try await loop.value
                send(.user1)
                #expect(try await signals.next()?.count == 1, "nothing is lost")
                let waits = (0..<3).map { _ in Task { try await signals.next() } }
                try await eventually { runtime.inFlightCount == 3 }
                try await signals.close()
                for wait in waits { #expect(try await wait.value == nil) }
            }
        }
    }

    @Test(.notSimulated(.process), arguments: names)
    func tasksThatAskTheSameSequenceShareWhatComes(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            try await withSignalRuntime(name) { runtime in
                let signals = try Signals([.user1, .user2], runtime: runtime)
                let observer = try Signals([.user1, .user2], runtime: runtime)
                let tasks = (0..<2).map { _ in Task { try await signals.next() } }
                try await eventually { runtime.inFlightCount == 2 }
                for signal in [Signal.user1, .user2] {
                    send(signal)
                    #expect(try await observer.next()?.signal == signal)
                }
                var got: Set<Signal?> = []
                for task in tasks { got.insert(try await task.value?.signal) }
                // One task may get both, if the other starts again; but none is left without.
                #expect(got == [.user1, .user2])
            }
        }
    }

    @Test(.notSimulated(.process), arguments: names)
    func sequencesThatComeAndGoMissNothingAndLeaveNothing(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            // The last signal may still be pending when the last receiver has gone.
            Glibc.signal(SIGUSR1, SIG_IGN)
            try await withSignalRuntime(name) { runtime in
                let steady = try Signals([.user1], runtime: runtime)
                let before = openDescriptors()
                let isOver = Flag()
                let sender = Task.detached { while !isOver.isSet { send(.user1); await Task.yield() } }
                for _ in 0..<300 {
                    let passing = try Signals([.user1], runtime: runtime)
                    #expect(try await passing.next()?.signal == .user1)
                }
                isOver.set()
                await sender.value
                #expect(try await steady.next().map { $0.count > 0 } == true)
                try await eventually { openDescriptors() == before }
            }
        }
    }

    @Test(.notSimulated(.process), arguments: names)
    func whatCannotBeReceivedIsRefusedAndChangesNothing(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            try await withSignalRuntime(name) { runtime in
                let before = openDescriptors()
                for number in [SIGKILL, SIGSTOP, SIGSEGV, 0, 65, -1] {
                    let refused = Signal(rawValue: number)
                    await expectError(.invalidArgument) { try Signals([.user1, refused], runtime: runtime) }
                }
                // Reserved by the C library.
                let error = await expectError(.invalidArgument) {
                    try Signals([.user1, .user2, Signal(rawValue: 32)], runtime: runtime)
                }
                #expect(
                    error?.description.contains("signal 32 cannot be received") == true, "\(String(describing: error))")
                #expect(isHandled(SIGUSR1, by: SIG_DFL) && isHandled(SIGUSR2, by: SIG_DFL))
                var many: [Signals] = []
                while many.count < 64 { many.append(try Signals([.user1], runtime: runtime)) }
                await expectError(.limitReached) { try Signals([.user2], runtime: runtime) }
                #expect(isHandled(SIGUSR2, by: SIG_DFL))
                many = []
                #expect(isHandled(SIGUSR1, by: SIG_DFL))
                #expect(openDescriptors() == before, "\(descriptorChanges(since: before))")
            }
        }
    }
}

private let earlierHandler = Atomic(0)

/// Takes the engine's name, since exit tests capture only encodable values.
private func withSignalRuntime(_ name: String, _ body: (IORuntime) async throws -> Void) async throws {
    try await withRuntime(try #require(EngineKind(name)), { _ in }, body)
}

private func send(_ signal: Signal) { kill(getpid(), signal.rawValue) }

private func action(_ signal: Int32) -> UInt {
    var action = sigaction()
    sigaction(signal, nil, &action)
    return unsafeBitCast(action.__sigaction_handler.sa_handler, to: UInt.self)
}

private func isHandled(_ signal: Int32, by handler: __sighandler_t?) -> Bool {
    action(signal) == unsafeBitCast(handler, to: UInt.self)
}

/// Whether SIGUSR1 has a handler again. It is not the one of `Signals`, which would not increment `earlierHandler`.
private func earlierHandlerIsBack() -> Bool { action(SIGUSR1) > 1 }
