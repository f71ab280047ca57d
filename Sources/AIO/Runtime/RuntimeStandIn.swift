package import AIOCore
internal import Synchronization

/// What a simulation provides in place of the process: a shared runtime, a resolver of names, and loops and queues that
/// are driven by hand. Each of its functions returns nil on a thread that runs no simulation.
package struct RuntimeStandIn: Sendable {
    let runtime: @Sendable () -> IORuntime?
    /// The addresses of a name, or the error of getaddrinfo(3).
    let addresses: @Sendable (String) -> Addresses?
    /// A loop for a new runtime.
    let loop: @Sendable (EngineConfiguration, IORuntime.Configuration) -> Result<IOLoop, EngineFailure>?
    /// What executes the work of a new `IOQueue`, and waits for it.
    let work: @Sendable (EngineConfiguration) -> Result<WorkByHand, EngineFailure>?
    /// Takes a job for the global executor; false if the caller is in no simulation.
    let job: @Sendable (UnownedJob) -> Bool

    package enum Addresses: Sendable {
        case found([SocketAddress])
        case failed(Int32)
    }

    package init(
        runtime: @escaping @Sendable () -> IORuntime?, addresses: @escaping @Sendable (String) -> Addresses?,
        loop: @escaping @Sendable (EngineConfiguration, IORuntime.Configuration) -> Result<IOLoop, EngineFailure>?,
        work: @escaping @Sendable (EngineConfiguration) -> Result<WorkByHand, EngineFailure>?,
        job: @escaping @Sendable (UnownedJob) -> Bool
    ) {
        self.runtime = runtime
        self.addresses = addresses
        self.loop = loop
        self.work = work
        self.job = job
    }

    /// Installs a stand-in, for good: before the first simulation begins.
    package static func install(_ standIn: RuntimeStandIn) {
        installed.withLock { $0 = standIn }
        // Release: pairs with the acquire in `current`.
        isInstalled.store(true, ordering: .releasing)
    }

    /// nil as long as the process has run no simulation, which costs one predicted branch.
    @inline(__always)
    static var current: RuntimeStandIn? {
        isInstalled.load(ordering: .acquiring) ? installed.withLock { $0 } : nil
    }

    /// Hands a job to Swift's global executor, or to what stands in for it.
    static func enqueueGlobally(_ job: UnownedJob) {
        guard current?.job(job) != true else { return }
        globalConcurrentExecutor.enqueue(ExecutorJob(job))
    }

    private static let isInstalled = Atomic<Bool>(false)
    private static let installed = Guarded<RuntimeStandIn?>(nil)
}
