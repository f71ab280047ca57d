internal import CKernel

/// A queue's descriptor for poll or epoll elsewhere: an epoll over the engine's descriptor, and over a timer for
/// deadlines and for completions that the engine's descriptor does not reflect.
struct ExportedDescriptor: ~Copyable {
    private let epoll: OwnedDescriptor
    private let timer: MarkedTimer
    private var armed = Nanoseconds.never

    init(_ engine: EngineKind, _ engineDescriptor: Int32) throws(EngineFailure) {
        let epoll = try OwnedDescriptor(Kernel.epollCreate(), engine, .descriptors)
        var refused: Int32 = 0
        guard let timer = MarkedTimer(errno: &refused) else {
            throw EngineFailure(engine: engine, step: .descriptors, errno: refused)
        }
        for descriptor in [engineDescriptor, timer.number] {
            let added = Kernel.epollControl(epoll.number, CK_EPOLL_CTL_ADD, descriptor, CK_POLLIN, 0)
            guard added >= 0 else {
                timer.close()
                throw EngineFailure(engine: engine, step: .descriptors, errno: Int32(-added))
            }
        }
        self.epoll = epoll
        self.timer = timer
    }

    deinit { timer.close() }

    /// Also watches this descriptor: that of an engine that stands in.
    func add(_ engineDescriptor: Int32) {
        Kernel.epollControl(epoll.number, CK_EPOLL_CTL_ADD, engineDescriptor, CK_POLLIN, 0)
    }

    var number: Int32 { epoll.number }

    /// Makes the descriptor readable at `deadline` at the latest.
    mutating func arm(_ deadline: Nanoseconds) {
        guard deadline != armed else { return }
        armed = deadline
        timer.set(deadline == .never ? nil : deadline)
    }

    /// Makes the descriptor readable immediately if something is ready, otherwise at the earliest deadline.
    mutating func settle(isReady: Bool, _ earliest: Nanoseconds) {
        arm(isReady ? 1 : earliest)
    }
}
