internal import CKernel

/// An epoll with one owner, and the entry in it by which it is woken: a timer that is always due, and asked for once a
/// wake-up. So the epoll, too, can be told from any other that has its number by now.
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

    /// Closes what is still this one's.
    deinit {
        guard timer.isOurs else { return }
        // Whoever has another epoll does not have this timer in it.
        let removed = Kernel.epollControl(number, CK_EPOLL_CTL_DEL, timer.number, 0, 0)
        if removed >= 0 { GuestNumbers.close(number) }
        timer.close()
    }

    /// Asks for the timer's readiness, which is there: the epoll's wait ends. False if it is not this epoll, or not this
    /// timer, any more; nothing has happened then.
    static func ask(_ epoll: Int32, _ timer: MarkedTimer) -> Bool {
        Kernel.epollControl(
            epoll, CK_EPOLL_CTL_MOD, timer.number, CK_POLLIN | CK_EPOLLONESHOT, data(timer, .wake)) >= 0
    }

    /// Whether both are still there. As a wake-up does, it ends the next wait.
    func check() -> Bool { timer.isOurs && Self.ask(number, timer) }

    // MARK: Entries

    /// What an event is about.
    enum Entry: BitwiseCopyable {
        case wake
        /// Of what the engine watches besides.
        case signal
        case index(Int32)
    }

    /// The data of an entry: half of it is the timer's, by which events of another epoll are found out.
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
