internal import AIOCore
internal import CDropIns
internal import CKernel
internal import CPosixWaits
internal import Synchronization

/// Where threads wait for requests: 64 places, each a word to sleep on and a mark that somebody may sleep there.
///
/// A thread that waits takes the place that its name hashes to, and marks each request that it waits for with the
/// place's bit, and then the place. Whoever completes requests collects their bits, takes the marks off those places,
/// and wakes them. So nothing is woken for a request that nobody waits for, and a wait has no end that would have to be
/// told of: a thread that is cancelled while it sleeps, or that a signal handler takes elsewhere, leaves a mark at
/// most, which the next one to complete something for that place takes off. All is atomic words, without a lock, and so
/// works in a signal handler.
struct Suspension: BitwiseCopyable {
    fileprivate struct Place: ~Copyable {
        let word: Atomic<UInt32>
        let isMarked: Atomic<UInt32>
        // A cache line each.
        private let padding: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64)
    }

    private let places: UnsafeMutablePointer<Place>

    init?() {
        // Zeros: nobody waits.
        guard let places = mappedMemory(of: Place.self, 64) else { return nil }
        self.places = places
    }

    // Sequentially consistent, all of it: the waiter sets its bit and the mark, then looks at the result once more; the
    // other side publishes the result, then looks at the bits and the mark. One of them sees the other. A mark that is
    // taken off for another thread's sake is followed by a change of the word, which wakes all at the place; they mark
    // it again.

    /// A thread's turn at its place.
    struct Turn: BitwiseCopyable {
        fileprivate let place: UnsafeMutablePointer<Place>
        /// What requests are to be marked with.
        let bit: UInt64

        /// To be taken before the requests are looked at. The place is marked with it.
        @inline(__always)
        func ticket() -> UInt32 {
            let ticket = place.pointee.word.load(ordering: .sequentiallyConsistent)
            place.pointee.isMarked.store(1, ordering: .sequentiallyConsistent)
            return ticket
        }

        /// Sleeps until a marked request completes, unless one has since the ticket was taken. What comes of it is 0,
        /// or negative EAGAIN, EINTR or ETIMEDOUT.
        func sleep(_ call: SleepingCall, _ ticket: UInt32, until deadline: Nanoseconds) -> Int {
            // The word's address: the place is never freed.
            let word = UnsafeMutableRawPointer(place).assumingMemoryBound(to: Atomic<UInt32>.self)
            call.waitForWord(word, while: ticket, until: deadline, isInterruptible: false)
            return DROP_IN_SLEEPS
        }
    }

    func turn() -> Turn {
        // Multiplied, so that the high bits depend on all others.
        let index = Int((UInt64(Kernel.currentThread()) &* 0x9e37_79b9_7f4a_7c15) >> 58)
        return Turn(place: places + index, bit: 1 << UInt64(index))
    }

    /// Wakes those who wait at these places.
    @inline(__always)
    func wake(_ bits: UInt64) {
        var rest = bits
        while rest != 0 {
            wake(places + rest.trailingZeroBitCount)
            rest &= rest - 1
        }
    }

    private func wake(_ place: UnsafeMutablePointer<Place>) {
        guard place.pointee.isMarked.load(ordering: .sequentiallyConsistent) != 0,
            place.pointee.isMarked.exchange(0, ordering: .sequentiallyConsistent) != 0
        else { return }
        place.pointee.word.wrappingAdd(1, ordering: .sequentiallyConsistent)
        Kernel.futexWake(UnsafeMutableRawPointer(place).assumingMemoryBound(to: Atomic<UInt32>.self), .max)
    }
}

/// aio_suspend(3). It lies in the frame of the call, which is C's: see posix_waits.h.
struct Suspending: BitwiseCopyable {
    private let library: Library
    private let list: UnsafePointer<UnsafeMutablePointer<aiocb>?>
    private let count: Int
    private let deadline: Nanoseconds
    private let turn: Suspension.Turn
    /// Requests begun later than this are not waited for: they are of blocks that have been used again, and so the
    /// one that was meant has completed.
    private let sequence: UInt64

    private init(
        _ library: Library, _ list: UnsafePointer<UnsafeMutablePointer<aiocb>?>, _ count: Int,
        _ timeout: UnsafePointer<timespec>?
    ) {
        self.library = library
        self.list = list
        self.count = count
        deadline = Self.deadline(timeout)
        turn = library.state.pointee.suspension.turn()
        sequence = library.state.pointee.sequence.pointee.load(ordering: .sequentiallyConsistent)
    }

    /// 0 once one of the list has completed, or positive EINVAL, EAGAIN or EINTR. Or it sleeps.
    static func begin(
        _ wait: WaitFrame<Suspending>, _ list: UnsafePointer<UnsafeMutablePointer<aiocb>?>?, _ count: Int32,
        _ timeout: UnsafePointer<timespec>?
    ) -> Int {
        guard count >= 0 else { return Int(EINVAL) }
        guard count > 0, let list, let library = Library.existing() else { return 0 }
        let suspending = Suspending(library, list, Int(count), timeout)
        guard suspending.mustWait() else { return 0 }
        wait.state.initialize(to: suspending)
        return suspending.sleep(wait.call)
    }

    /// After a sleep. As `begin`.
    func goOn(_ call: SleepingCall, _ slept: Int) -> Int {
        switch slept {
        case -Int(EINTR): Int(EINTR)
        case -Int(ETIMEDOUT): mustWait() ? Int(EAGAIN) : 0
        default: sleep(call)
        }
    }

    private func sleep(_ call: SleepingCall) -> Int {
        let ticket = turn.ticket()
        guard mustWait(markedWith: turn.bit) else { return 0 }
        return turn.sleep(call, ticket, until: deadline)
    }

    /// On the monotonic clock. A timeout that is not normal is what it adds up to.
    private static func deadline(_ timeout: UnsafePointer<timespec>?) -> Nanoseconds {
        guard let timeout = timeout?.pointee else { return .never }
        let (seconds, overflows) = timeout.tv_sec.multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflows || timeout.tv_sec < 0 else { return .never - 1 }
        let (length, overflowsToo) = (overflows ? .min : seconds).addingReportingOverflow(timeout.tv_nsec)
        guard !overflowsToo else { return timeout.tv_nsec < 0 ? 0 : .never - 1 }
        let now = Int(Kernel.now())
        let (sum, isTooLarge) = now.addingReportingOverflow(length)
        return isTooLarge ? .never - 1 : Nanoseconds(max(sum, 0))
    }

    /// Whether no entry has completed, and there is one. Marks them with `bit`.
    @inline(__always)
    private func mustWait(markedWith bit: UInt64 = 0) -> Bool {
        var isAnyPending = false
        for index in 0..<count {
            guard let block = ControlBlock(list[index]) else { continue }
            guard block.errorInOrder == EINPROGRESS, let watch = library.watch(of: block),
                watch.pointee.sequence.load(ordering: .relaxed) <= sequence
            else { return false }
            if bit != 0 {
                watch.pointee.waiters.bitwiseOr(bit, ordering: .sequentiallyConsistent)
                // Looked at again: it may have completed just before it was marked.
                if block.errorInOrder != EINPROGRESS { return false }
            }
            isAnyPending = true
        }
        return isAnyPending
    }
}

/// What C's frame has for a call that waits: the system call, and behind it what Swift keeps.
struct WaitFrame<State: BitwiseCopyable>: BitwiseCopyable {
    let call: SleepingCall
    let state: UnsafeMutablePointer<State>

    init?(_ place: UnsafeMutableRawPointer?) {
        precondition(MemoryLayout<State>.size <= POSIX_AIO_WAIT_WORDS * MemoryLayout<Int>.size)
        guard let place else { return nil }
        call = place.assumingMemoryBound(to: ck_sleeping_call.self)
        state = (place + MemoryLayout<ck_sleeping_call>.stride).assumingMemoryBound(to: State.self)
    }
}

@c(posix_aio_begin_suspending)
func beginSuspending(
    _ place: UnsafeMutableRawPointer?, _ list: BlockList?, _ count: Int32, _ timeout: UnsafePointer<timespec>?
) -> Int {
    guard let frame = WaitFrame<Suspending>(place) else { return Int(EINVAL) }
    return Suspending.begin(frame, list, count, timeout)
}

@c(posix_aio_go_on_suspending)
func goOnSuspending(_ place: UnsafeMutableRawPointer?, _ slept: Int) -> Int {
    guard let frame = WaitFrame<Suspending>(place) else { return Int(EINVAL) }
    return frame.state.pointee.goOn(frame.call, slept)
}
