internal import AIOCore
internal import CDropIns
internal import CKernel
internal import CPosixWaits
internal import Synchronization

extension Suspension.Turn {
    /// Prepares a sleep until a marked request completes; it returns at once if one has completed since the ticket was
    /// taken. The result of the sleep is 0, or negative EAGAIN, EINTR or ETIMEDOUT.
    func sleep(_ call: SleepingCall, _ ticket: UInt32, until deadline: Nanoseconds) -> Int {
        call.waitForWord(word, while: ticket, until: deadline, isInterruptible: false)
        return DROP_IN_SLEEPS
    }
}

/// aio_suspend(3). Its state is in the frame of the C function: see posix_waits.h.
struct Suspending: BitwiseCopyable {
    private let library: Library
    private let list: UnsafePointer<UnsafeMutablePointer<aiocb>?>
    private let count: Int
    private let deadline: Nanoseconds
    private let turn: Suspension.Turn
    /// A block whose request has a later number has been reused, so that the request that the caller means has
    /// completed.
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

    /// Returns 0 once a request in the list has completed, positive EINVAL, EAGAIN or EINTR, or DROP_IN_SLEEPS.
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

    /// Continues after a sleep. Returns what `begin` does.
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

    /// The deadline on the monotonic clock. Fields outside of their normal range are simply added up.
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

    /// Whether the list has an entry and none has completed. Sets `bit` in their requests.
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
                // Look again: the request may have completed just before it was marked.
                if block.errorInOrder != EINPROGRESS { return false }
            }
            isAnyPending = true
        }
        return isAnyPending
    }
}

/// The frame of a C function that waits: the system call, followed by Swift's state.
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
