import AIO
import Glibc
import Synchronization
import Testing
import UnitSupport

/// Signal handlers interrupt system calls: a wait continues, and nothing is lost.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct SignalTests {
    @Test(.notSimulated(.process), arguments: engines.map(\.description))
    func aWaitOutlastsSignals(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            // Without SA_RESTART.
            var action = sigaction()
            action.__sigaction_handler.sa_handler = { _ in handledCount.wrappingAdd(1, ordering: .relaxed) }
            try #require(sigaction(SIGUSR2, &action, nil) == 0)
            let engine = try #require(engines.first { $0.description == name })
            try await Ends.with { ends in
                let reading = ends.reading
                let (isWaiting, outcome) = (Flag(), Outcome())
                let thread = try startThread {
                    do { try outcome.set(waitForOneByte(engine, reading, isWaiting)) } catch { outcome.set(nil) }
                }
                try await eventually { isWaiting.isSet }
                for count in 1...100 {
                    try #require(pthread_kill(thread, SIGUSR2) == 0)
                    try await eventually { handledCount.load(ordering: .relaxed) >= count }
                }
                ends.put([7])
                pthread_join(thread, nil)
                #expect(outcome.value == [7])
            }
        }
    }
}

private let handledCount = Atomic<Int>(0)

/// Reads one byte through a new queue, in a single wait. nil if the wait ended otherwise.
private func waitForOneByte(_ engine: EngineKind, _ descriptor: Int32, _ isWaiting: Flag) throws -> [UInt8]? {
    var configuration = IOQueue.Configuration()
    configuration.engine = .forced(engine)
    let queue = try IOQueue(configuration)
    let memory = Memory(count: 1)
    try queue.prepare(.read(memory.transfer(descriptor)))
    try queue.submit()
    // Threads of Swift's pool block signals, and this thread has inherited the mask.
    var signals = sigset_t()
    sigaddset(&signals, SIGUSR2)
    pthread_sigmask(SIG_UNBLOCK, &signals, nil)
    isWaiting.set()
    let count = try queue.wait(atLeast: 1)
    let results = queue.completions().map(\.result)
    return count == 1 && results == [1] ? memory.bytes : nil
}

/// The result of a thread.
private final class Outcome: Sendable {
    private let stored = Locked<[UInt8]?>(nil)

    func set(_ value: [UInt8]?) { stored.withLock { $0 = value } }
    var value: [UInt8]? { stored.withLock { $0 } }
}
