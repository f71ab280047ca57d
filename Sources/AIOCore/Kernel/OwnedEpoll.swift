internal import CKernel

/// An epoll with one owner, and its wake-up entry: a timer that is always expired, registered one-shot, and rearmed for
/// each wake-up. The timer also distinguishes this epoll from another that has since got its number.
struct OwnedEpoll: ~Copyable {
    let number: Int32
    let timer: MarkedTimer

    init(_ engine: EngineKind) throws(EngineFailure) {
        let made = Kernel.epollCreate()
        guard made >= 0 else { throw EngineFailure(engine: engine, step: .descriptors, errno: Int32(-made)) }
        let epoll = GuestNumbers.moveUp(Int32(made))
        var refused: Int32 = 0
        guard let timer = MarkedTimer(errno: &refused) else {
            GuestNumbers.close(epoll)
            throw EngineFailure(engine: engine, step: .descriptors, errno: refused)
        }
        let added = Kernel.epollControl(
            epoll, CK_EPOLL_CTL_ADD, timer.number, CK_EPOLLONESHOT, Self.data(timer, .wake))
        timer.signal()
        guard added >= 0 else {
            GuestNumbers.close(epoll)
            timer.close()
            throw EngineFailure(engine: engine, step: .descriptors, errno: Int32(-added))
        }
        number = epoll
        self.timer = timer
    }

    /// Closes the descriptors that are still this owner's.
    deinit {
        guard timer.isOurs else { return }
        // Another epoll does not have this timer registered.
        let removed = Kernel.epollControl(number, CK_EPOLL_CTL_DEL, timer.number, 0, 0)
        if removed >= 0 { GuestNumbers.close(number) }
        timer.close()
    }

    /// Rearms the timer's registration, which ends a wait of the epoll. False, without effect, if the number is no
    /// longer this epoll's, or the timer is gone.
    static func ask(_ epoll: Int32, _ timer: MarkedTimer) -> Bool {
        Kernel.epollControl(
            epoll, CK_EPOLL_CTL_MOD, timer.number, CK_POLLIN | CK_EPOLLONESHOT, data(timer, .wake)) >= 0
    }

    /// Whether both descriptors still exist. Ends the next wait, as a wake-up does.
    func check() -> Bool { timer.isOurs && Self.ask(number, timer) }

    /// From now on a write to this eventfd ends a wait. Edge-triggered.
    func watch(_ eventDescriptor: Int32) -> Int {
        Kernel.epollControl(
            number, CK_EPOLL_CTL_ADD, eventDescriptor, CK_POLLIN | CK_EPOLLET, Self.data(timer, .signal))
    }

    // MARK: Entries

    /// What an event refers to.
    enum Entry: BitwiseCopyable {
        case wake
        /// The additional descriptor that the engine watches.
        case signal
        case index(Int32)
    }

    /// The data word of a registration. Its upper half is the timer's tag, which exposes events of another epoll.
    static func data(_ timer: MarkedTimer, _ entry: Entry) -> UInt64 {
        switch entry {
        case .wake: timer.tag | UInt64(UInt32.max)
        case .signal: timer.tag | UInt64(UInt32.max - 1)
        case .index(let index): timer.tag | UInt64(UInt32(bitPattern: index))
        }
    }

    /// nil for an event of another epoll.
    func entry(of event: ck_epoll_event) -> Entry? {
        guard event.data & ~0xffff_ffff == timer.tag else { return nil }
        switch UInt32(truncatingIfNeeded: event.data) {
        case .max: return .wake
        case .max - 1: return .signal
        case let index: return .index(Int32(bitPattern: index))
        }
    }
}
