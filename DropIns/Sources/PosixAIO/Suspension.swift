internal import AIOCore
internal import CDropIns
internal import CKernel
internal import Synchronization

/// Where threads wait for requests: 64 places, each a word to sleep on and a count of those who may sleep there.
///
/// A thread that waits takes the place that its name hashes to, and marks each request that it waits for with the
/// place's bit. Whoever completes requests collects their bits, and wakes those places where somebody is. So nothing is
/// woken for a request that nobody waits for, and nothing that lasts is made or linked for a wait: all is atomic
/// words, without a lock, and so works in a signal handler, and where a thread is cancelled or jumps out of a handler
/// nothing is left behind but a count too high, which costs a system call now and then.
struct Suspension: BitwiseCopyable {
    fileprivate struct Place: ~Copyable {
        let word: Atomic<UInt32>
        let count: Atomic<UInt32>
        // A cache line each.
        private let padding: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64)
    }

    private let places: UnsafeMutablePointer<Place>

    init?() {
        // Zeros: nobody waits.
        guard let places = mappedMemory(of: Place.self, 64) else { return nil }
        self.places = places
    }

    // Sequentially consistent, all of it: the waiter counts itself and sets its bit, then looks at the result once
    // more; the other side publishes the result, then looks at the bits and the count. One of them sees the other.

    /// A thread's turn at its place.
    struct Turn: BitwiseCopyable {
        fileprivate let place: UnsafeMutablePointer<Place>
        /// What requests are to be marked with.
        let bit: UInt64

        /// To be taken before the requests are looked at.
        @inline(__always)
        var ticket: UInt32 { place.pointee.word.load(ordering: .sequentiallyConsistent) }

        /// Sleeps until a marked request completes, unless one has since the ticket was taken. Returns 0, or
        /// negative EAGAIN, EINTR or ETIMEDOUT.
        func sleep(_ ticket: UInt32, until deadline: Nanoseconds) -> Int {
            // The word's address: the place is never freed.
            let word = UnsafeMutableRawPointer(place).assumingMemoryBound(to: Atomic<UInt32>.self)
            guard deadline != .never else { return Kernel.futexWait(word, while: ticket) }
            return Kernel.futexWait(word, while: ticket, until: deadline)
        }

        func end() { place.pointee.count.wrappingSubtract(1, ordering: .sequentiallyConsistent) }
    }

    func begin() -> Turn {
        // Multiplied, so that the high bits depend on all others.
        let index = Int((UInt64(Kernel.currentThread()) &* 0x9e37_79b9_7f4a_7c15) >> 58)
        places[index].count.wrappingAdd(1, ordering: .sequentiallyConsistent)
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
        guard place.pointee.count.load(ordering: .sequentiallyConsistent) > 0 else { return }
        place.pointee.word.wrappingAdd(1, ordering: .sequentiallyConsistent)
        Kernel.futexWake(UnsafeMutableRawPointer(place).assumingMemoryBound(to: Atomic<UInt32>.self), .max)
    }
}

/// aio_suspend(3).
struct Suspending {
    private let library: Library
    private let list: UnsafePointer<UnsafeMutablePointer<aiocb>?>
    private let count: Int
    /// Requests begun later than this are not waited for: they are of blocks that have been used again, and so the
    /// one that was meant has completed.
    private let sequence: UInt64

    /// Returns 0 once one of the list has completed, or negative EINVAL, EAGAIN or EINTR.
    static func wait(
        _ list: UnsafePointer<UnsafeMutablePointer<aiocb>?>?, _ count: Int32, _ timeout: UnsafePointer<timespec>?
    ) -> Int {
        guard count >= 0 else { return -Int(EINVAL) }
        guard count > 0, let list, let library = Library.existing() else { return 0 }
        let suspending = Suspending(library, list, Int(count))
        guard suspending.mustWait() else { return 0 }
        return suspending.wait(until: deadline(timeout))
    }

    private init(_ library: Library, _ list: UnsafePointer<UnsafeMutablePointer<aiocb>?>, _ count: Int) {
        self.library = library
        self.list = list
        self.count = count
        sequence = library.state.pointee.sequence.pointee.load(ordering: .sequentiallyConsistent)
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

    private func wait(until deadline: Nanoseconds) -> Int {
        let turn = library.state.pointee.suspension.begin()
        var sleep = CancellableSleep(turn: turn, ticket: 0, deadline: deadline)
        while true {
            sleep.ticket = turn.ticket
            guard mustWait(markedWith: turn.bit) else { break }
            sleep.sleep()
            switch sleep.result {
            case -Int(EINTR):
                turn.end()
                return sleep.result
            case -Int(ETIMEDOUT):
                turn.end()
                return mustWait() ? -Int(EAGAIN) : 0
            default: break
            }
        }
        turn.end()
        return 0
    }
}

/// A sleep in which the thread may be cancelled: aio_suspend is a cancellation point.
private struct CancellableSleep {
    let turn: Suspension.Turn
    var ticket: UInt32
    let deadline: Nanoseconds
    private(set) var result = 0

    init(turn: Suspension.Turn, ticket: UInt32, deadline: Nanoseconds) {
        self.turn = turn
        self.ticket = ticket
        self.deadline = deadline
    }

    mutating func sleep() {
        withUnsafeMutablePointer(to: &self) {
            di_call_cancellable(
                { argument in
                    guard let sleep = argument?.assumingMemoryBound(to: CancellableSleep.self) else { return }
                    sleep.pointee.result = sleep.pointee.turn.sleep(sleep.pointee.ticket, until: sleep.pointee.deadline)
                },
                { argument in argument?.assumingMemoryBound(to: CancellableSleep.self).pointee.turn.end() }, $0)
        }
    }
}
