/// When the queue has to act on its operations: deadlines, timers, and the ends of pauses before a retry. Each slot
/// has one time at most, the earliest that applies to it.
struct Deadlines: ~Copyable {
    private var heap: DeadlineHeap

    init(capacity: Int) { heap = DeadlineHeap(capacity: capacity) }

    var isEmpty: Bool { heap.count == 0 }

    @inline(__always)
    var earliest: Nanoseconds { heap.earliest }

    /// Adds an operation's deadline, if it has one.
    @inline(__always)
    mutating func add(_ slot: UInt32, _ deadline: Nanoseconds) {
        if deadline != .never { heap.insert(slot, deadline) }
    }

    /// Adds the time of a timer: when it is due, or its operation's deadline. False if the operation is no valid timer.
    mutating func addTimer(_ slot: UInt32, _ operation: Operation, _ deadline: Nanoseconds) -> Bool {
        switch operation {
        case .timeout(let due): heap.insert(slot, min(due, deadline))
        case .repeatingTimeout(let due, let interval) where interval > 0: heap.insert(slot, min(due, deadline))
        default: return false
        }
        return true
    }

    /// Replaces an operation's deadline by the end of a pause that begins now, if that is earlier. Once it has passed,
    /// `add` puts the deadline back.
    mutating func pause(_ slot: UInt32, _ deadline: Nanoseconds) {
        heap.remove(slot)
        heap.insert(slot, min(deadline, Kernel.now() &+ Self.pauseTime))
    }

    /// The pause before another attempt where no poll tells: long against a system call, short for whoever waits.
    private static var pauseTime: Nanoseconds { 1_000_000 }

    @inline(__always)
    mutating func remove(_ slot: UInt32) { heap.remove(slot) }

    /// Removes the earliest time if it is not after `now`, and returns its slot.
    mutating func popPassed(_ now: Nanoseconds) -> UInt32? { heap.popPassed(now) }

    /// Whether an operation with a deadline may start: only before it. A release ignores deadlines.
    static func mayBegin(_ slot: inout InFlightTable.Slot) -> Bool {
        assert(slot.state == .submitted && !slot.isDeadlinePassed, "the operation has begun")
        if slot.operation.isRelease {
            slot.deadline = .never
        } else {
            slot.isDeadlinePassed = slot.deadline <= Kernel.now()
        }
        return !slot.isDeadlinePassed
    }

    /// What is due at the time of a slot.
    enum Event: BitwiseCopyable {
        /// The completion of a timeout.
        case timeout
        /// So many intervals of a repeating timer, which goes on as `next`.
        case ticks(Int32, next: Operation)
        /// The retry after a pause.
        case retry
        /// The end of the operation: its deadline has passed.
        case deadline
    }

    /// The event of a slot whose time has passed.
    static func event(of slot: InFlightTable.Slot, _ now: Nanoseconds) -> Event {
        assert(slot.state != .unstaged && slot.state != .completed, "an operation that is over has a deadline")
        switch slot.operation {
        case .timeout(let due):
            return due <= slot.deadline ? .timeout : .deadline
        case .repeatingTimeout(let due, let interval):
            guard due <= now, due <= slot.deadline else { return .deadline }
            let count = (now - due) / interval + 1
            let (elapsed, overflows) = count.multipliedReportingOverflow(by: interval)
            let (next, isBeyond) = due.addingReportingOverflow(elapsed)
            let first = overflows || isBeyond ? Nanoseconds.never : next
            return .ticks(Int32(clamping: count), next: .repeatingTimeout(first: first, interval: interval))
        default:
            return slot.state == .pausing && slot.deadline > now ? .retry : .deadline
        }
    }
}
