import AIOCore
import CKernel

/// The kernel objects of the exported descriptor, and what is known of the caller's descriptors.
struct SimulatedDescriptors {
    static let epoll = 900_001
    static let timer = 900_002
    static let movedTimer = 900_003
    static let movedEpoll = 900_004

    private var openNumbers: [Int] = []
    private(set) var watched: [Int] = []
    private var interval = ck_timespec()
    /// When the timer expires; 0 for never.
    private(set) var armed: Nanoseconds = 0

    var areAllClosed: Bool { openNumbers.isEmpty }
    func watches(_ descriptor: Int32) -> Bool { watched.contains(Int(descriptor)) }

    /// A buffered file whose program has set O_DIRECT.
    static func hasBecomeDirect(_ number: Int32) -> Bool { number == 103 }
    static func openFlags(_ number: Int) -> Int {
        hasBecomeDirect(Int32(number)) ? Int(CK_O_DIRECT) : number == 120 ? Int(CK_O_NONBLOCK) : 0
    }

    mutating func open(_ number: Int) -> Int {
        openNumbers.append(number)
        return number
    }

    mutating func close(_ number: Int) -> Int {
        guard let index = openNumbers.firstIndex(of: number) else { return -Int(EBADF) }
        openNumbers.remove(at: index)
        return 0
    }

    mutating func add(_ descriptor: Int) -> Int {
        watched.append(descriptor)
        return 0
    }

    mutating func setTimer(_ number: Int, _ address: Int) -> Int {
        guard openNumbers.contains(number) else { return -Int(EBADF) }
        guard let value = UnsafePointer<ck_itimerspec>(bitPattern: address)?.pointee else { return -Int(EFAULT) }
        interval = value.interval
        armed = Nanoseconds(value.value.seconds) * 1_000_000_000 + Nanoseconds(value.value.nanoseconds)
        return 0
    }

    func getTimer(_ number: Int, _ address: Int) -> Int {
        guard openNumbers.contains(number) else { return -Int(EBADF) }
        UnsafeMutablePointer<ck_itimerspec>(bitPattern: address)?.pointee.interval = interval
        return 0
    }
}

/// The system calls that a queue makes, answered.
extension Simulation {
    func answered(_ call: SystemCall) -> Int? {
        switch call.number {
        case CK_NR_gettid: return Int(threadID)
        case CK_NR_preadv2, CK_NR_pwritev2: return answerTransfer(call)
        case CK_NR_ppoll: return answerPoll()
        case CK_NR_fcntl: return answerControl(call)
        case CK_NR_epoll_create1:
            return !isQuiet && random.isOne(in: 4) ? -Int(EMFILE) : descriptors.open(SimulatedDescriptors.epoll)
        case CK_NR_timerfd_create: return descriptors.open(SimulatedDescriptors.timer)
        case CK_NR_timerfd_settime: return descriptors.setTimer(call.a, call.c)
        case CK_NR_timerfd_gettime: return descriptors.getTimer(call.a, call.b)
        case CK_NR_epoll_ctl: return descriptors.add(call.c)
        // The queue's own descriptors have no file type.
        case CK_NR_statx: return 0
        case CK_NR_close: return answerClose(call.a)
        // Locks, memory, limits: the process's own.
        case CK_NR_futex, CK_NR_mmap, CK_NR_madvise, CK_NR_prlimit64: return nil
        default:
            fail("the system call \(call.number) was not to be expected")
            return -Int(ENOSYS)
        }
    }

    private func answerClose(_ number: Int) -> Int {
        if number >= 1_000_000 {
            descriptorsEnded += 1
            return 0
        }
        let result = descriptors.close(number)
        check(result == 0, "the descriptor \(number) is closed and was not open")
        return result
    }

    private func answerControl(_ call: SystemCall) -> Int {
        if call.b == Int(CK_F_GETFL) { return SimulatedDescriptors.openFlags(call.a) }
        let isEpoll = call.a == SimulatedDescriptors.epoll
        return descriptors.open(isEpoll ? SimulatedDescriptors.movedEpoll : SimulatedDescriptors.movedTimer)
    }

    /// The queue attempts a transfer by itself.
    private func answerTransfer(_ call: SystemCall) -> Int {
        guard let place = attemptedPlace(call) else {
            fail("a transfer is attempted that nobody expects")
            return -Int(EIO)
        }
        let isBlocking = call.f & Int(CK_RWF_NOWAIT) == 0
        let isRefusal = place.pointee.form == .own || place.pointee.form == .worker
        let result: Int
        switch random.below(isQuiet ? 1 : 8) {
        case 0, 1, 2: result = 1 + random.below(place.pointee.total - place.pointee.progress)
        case 3: result = -Int(EINTR)
        case 4: result = -Int(EIO)
        case 5: result = -Int(EOPNOTSUPP)
        default: result = -Int(EAGAIN)
        }
        tell("  attempt of \(name(place)): \(result)")
        if result == -Int(EOPNOTSUPP), !isBlocking, !isRefusal {
            attempting = Int32(slot(of: place))
            return result
        }
        if result > 0, !place.pointee.has(.writes) {
            memory.address(place.pointee.block).initializeMemory(
                as: UInt8.self, repeating: UInt8(truncatingIfNeeded: place.pointee.id), count: result)
        }
        attempting = -1
        attemptEnded(place, Int32(result))
        return result
    }

    /// By the memory that the call names.
    private func attemptedPlace(_ call: SystemCall) -> Place? {
        guard let vectors = UnsafePointer<iovec>(bitPattern: call.b) else { return nil }
        guard let block = memory.block(of: vectors) ?? memory.block(of: vectors.pointee.iov_base) else { return nil }
        for index in 0..<placeCount where places[index].block == block && places[index].phase == .attempting {
            return places + index
        }
        return nil
    }

    /// Whether a stream is ready that supports only calls which may block.
    private func answerPoll() -> Int {
        guard attempting >= 0 else {
            fail("a poll that nobody expects")
            return 0
        }
        let place = places + Int(attempting)
        attempting = -1
        place.pointee.form = .own
        guard random.isOne(in: 2) else {
            react(place, -EAGAIN, [])
            return 0
        }
        stageWithWorker(place)
        return 1
    }
}
