internal import CKernel

extension Loop {
    /// Starts a thread, creates the engine on it (an io_uring belongs to the thread that created it), and returns the
    /// loop once it runs. Blocks the caller for some tens of microseconds.
    public static func start(
        _ kind: EngineKind, _ configuration: EngineConfiguration, _ client: Client
    ) throws(EngineFailure) -> Loop<Client> {
        let start = LoopStart<Client>(kind, configuration, client)
        let refused = Kernel.startThread(start)
        guard refused == 0 else { throw EngineFailure(engine: kind, step: .thread, errno: refused) }
        // A drop-in's program may cancel this thread, or leave by a signal handler, while the caller holds a lock.
        Kernel.undisturbed { start.wait() }
        return try start.outcome()
    }
}

/// The hand-over between the starting thread and the new one.
private final class LoopStart<Client: LoopClient>: ThreadBody, @unchecked Sendable {
    // @unchecked: `result` is accessed under `lock` only.

    private let kind: EngineKind
    private let configuration: EngineConfiguration
    private let client: Client
    private let lock = Lock()
    private let condition = Condition()
    private var result: Outcome?

    private enum Outcome {
        case started(Loop<Client>)
        case failed(EngineFailure)
    }

    init(_ kind: EngineKind, _ configuration: EngineConfiguration, _ client: Client) {
        self.kind = kind
        var configuration = configuration
        configuration.hasDedicatedThread = true
        self.configuration = configuration
        self.client = client
    }

    /// Blocks until there is an outcome.
    func wait() {
        lock.lock()
        defer { lock.unlock() }
        while result == nil { condition.wait(lock) }
    }

    func outcome() throws(EngineFailure) -> Loop<Client> {
        lock.lock()
        defer { lock.unlock() }
        switch result {
        case nil: throw EngineFailure(engine: kind, step: .thread, errno: EAGAIN)
        case .started(let loop)?: return loop
        case .failed(let failure)?: throw failure
        }
    }

    /// Runs on the new thread.
    override func run() {
        Kernel.nameThread(.loop)
        let queue = UnsafeMutablePointer<EngineQueue>.allocate(capacity: 1)
        do throws(EngineFailure) {
            queue.initialize(to: try EngineQueue(kind, configuration))
        } catch {
            queue.deallocate()
            return report(.failed(error))
        }
        let loop = Loop(queue, configuration, client)
        report(.started(loop))
        loop.run()
    }

    private func report(_ outcome: Outcome) {
        lock.lock()
        assert(result == nil, "the thread reports twice")
        result = outcome
        condition.signal()
        lock.unlock()
    }
}
