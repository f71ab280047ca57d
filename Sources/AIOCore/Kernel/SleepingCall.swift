public import CKernel
public import Synchronization

/// Where a system call that may sleep for long is put together, for somebody else to make it.
///
/// A thread that is cancelled while it sleeps, that ends in a signal handler, or jumps out of one, leaves by the frames
/// above the call. Embedded Swift has no unwind tables, so those frames must not be Swift's: C makes the call. The
/// value points into itself, so it stays where it is.
public typealias SleepingCall = UnsafeMutablePointer<ck_sleeping_call>

extension UnsafeMutablePointer where Pointee == ck_sleeping_call {
    /// futex(2): sleeps while `word` holds `value`, until the deadline.
    ///
    /// 0 (woken), or negative EAGAIN (it holds something else), EINTR or ETIMEDOUT. With a deadline EINTR comes of every
    /// signal handler; without one the kernel goes on waiting after one with SA_RESTART, unless `isInterruptible`.
    public func waitForWord(
        _ word: UnsafeMutablePointer<Atomic<UInt32>>, while value: UInt32, until deadline: Nanoseconds,
        isInterruptible: Bool
    ) {
        guard deadline != .never || isInterruptible else {
            return set(
                CK_NR_futex, Kernel.address(word), Int(CK_FUTEX_WAIT | CK_FUTEX_PRIVATE), Int(value))
        }
        // Without a timeout the kernel restarts the call behind the caller's back.
        pointee.time = ck_timespec(Swift.min(deadline, Nanoseconds(Int64.max)))
        set(
            CK_NR_futex, Kernel.address(word), Int(CK_FUTEX_WAIT_BITSET | CK_FUTEX_PRIVATE), Int(value), timeAddress, 0,
            Int(UInt32.max))
    }

    /// ppoll(2): sleeps until the eventfd is readable, with the signal mask at the address `signalMask` meanwhile.
    ///
    /// 1, 0 (the deadline passed), or negative EINTR.
    public func waitForEvent(_ eventDescriptor: Int32, until deadline: Nanoseconds, signalMask: UInt) {
        pointee.descriptor = ck_pollfd(descriptor: eventDescriptor, events: Int16(CK_POLLIN), returned: 0)
        setRemaining(until: deadline)
        set(
            CK_NR_ppoll, Self.address(&pointee.descriptor), 1, deadline == .never ? 0 : timeAddress,
            Int(bitPattern: signalMask), 8)
    }

    /// ppoll(2) of nothing, which does not sleep: delivers the signals that the mask at the address `signalMask` lets
    /// through. Negative EINTR if there were any.
    public func deliverSignals(_ signalMask: UInt) {
        pointee.time = ck_timespec()
        set(CK_NR_ppoll, 0, 0, timeAddress, Int(bitPattern: signalMask), 8)
    }

    /// io_getevents(2), or with the signal mask at the address `mask` io_pgetevents(2), until a deadline; 0 is now.
    public func getLinuxAIOEvents(
        _ context: UInt, _ countMin: Int, _ countMax: Int, _ events: UInt, until deadline: Nanoseconds, mask: UInt
    ) {
        pointee.mask = ck_aio_signal_mask(address: UInt64(mask), size: 8)
        setRemaining(until: deadline)
        set(
            mask == 0 ? CK_NR_io_getevents : CK_NR_io_pgetevents, Int(bitPattern: context), countMin, countMax,
            Int(bitPattern: events), deadline == .never ? 0 : timeAddress,
            mask == 0 ? 0 : Self.address(&pointee.mask))
    }

    private var timeAddress: Int { Self.address(&pointee.time) }

    /// Of a field: it lies in memory, and stays there.
    private static func address<Field>(_ field: UnsafeMutablePointer<Field>) -> Int { Int(bitPattern: field) }

    private func setRemaining(until deadline: Nanoseconds) {
        // Most calls wait for ever or not at all, and need no clock.
        let now = deadline == 0 || deadline == .never ? deadline : Kernel.now()
        pointee.time = ck_timespec(deadline > now ? deadline &- now : 0)
    }

    private func set(
        _ number: Int, _ a: Int, _ b: Int, _ c: Int, _ d: Int = 0, _ e: Int = 0, _ f: Int = 0
    ) {
        pointee.number = number
        pointee.arguments = (a, b, c, d, e, f)
    }
}
