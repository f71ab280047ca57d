import AIOCore
import Glibc

/// What answers the system calls of the thread that runs it, and is its clock. All other threads have the kernel.
class SimulatedWorld {
    final let seed: UInt64
    final var step = 0
    final var now: Nanoseconds = 1
    /// What happened, if somebody wants to read it.
    final var story: Story?

    init(seed: UInt64) { self.seed = seed }

    /// The result of a call; nil for the kernel's.
    func answer(_ call: SystemCall) -> Int? { nil }

    @inline(__always)
    final func tell(_ event: @autoclosure () -> String) {
        if story != nil { story?.add(step, event()) }
    }

    /// Thread-specific data: the calling thread's world.
    private static let key: pthread_key_t = {
        var key = pthread_key_t()
        let refused = pthread_key_create(&key, nil)
        precondition(refused == 0, "pthread_key_create: \(refused)")
        return key
    }()

    private static let isInstalled: Bool = {
        Kernel.install(
            KernelStandIn(answer: { current?.answer($0) }, now: { current?.now }, takes: { _ in false }))
        // A failed assertion ends the process: it must not take along where that was.
        for index in traps.indices {
            var action = sigaction()
            action.__sigaction_handler.sa_handler = { SimulatedWorld.reportTrap($0) }
            sigaction(traps[index], &action, &formerActions[index])
        }
        return true
    }()

    private static var current: SimulatedWorld? {
        pthread_getspecific(key).map { Unmanaged<SimulatedWorld>.fromOpaque($0).takeUnretainedValue() }
    }

    private static func reportTrap(_ number: Int32) {
        if let current {
            var line = "seed \(current.seed), step \(current.step): signal \(number)\n"
            line.withUTF8 { _ = write(2, $0.baseAddress, $0.count) }
        }
        // The instruction traps again, for whoever had the signal before.
        guard let index = traps.firstIndex(of: number) else { return }
        sigaction(number, &formerActions[index], nil)
    }

    private static let traps = [SIGILL, SIGTRAP, SIGSEGV]
    // unsafe: written once, before the signals can come here.
    nonisolated(unsafe) private static var formerActions = Array(repeating: sigaction(), count: 3)

    /// Runs `body` with this thread in the world.
    final func inItsWorld(_ body: () -> Void) {
        precondition(Self.isInstalled)
        pthread_setspecific(Self.key, Unmanaged.passUnretained(self).toOpaque())
        body()
        pthread_setspecific(Self.key, nil)
    }
}
