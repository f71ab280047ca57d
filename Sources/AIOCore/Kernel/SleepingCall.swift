public import CKernel
public import Synchronization

/// The arguments of a system call that may sleep for long, for C code to make.
///
/// A thread that is cancelled while it sleeps, exits in a signal handler, or jumps out of one, unwinds the frames above
/// the call. Embedded Swift has no unwind tables, so those frames must be C. The value contains pointers into itself
/// and must not move.
public typealias SleepingCall = UnsafeMutablePointer<ck_sleeping_call>

extension UnsafeMutablePointer where Pointee == ck_sleeping_call {
    /// futex(2): sleeps while `word` holds `value`, until the deadline.
    ///
    /// The result is 0 (woken), or negative EAGAIN (the word holds another value), EINTR or ETIMEDOUT. With a deadline,
    /// every signal handler causes EINTR; without one, the kernel restarts the call after a handler with SA_RESTART,
    /// unless `isInterruptible`.
    public func waitForWord(
        _ word: UnsafeMutablePointer<Atomic<UInt32>>, while value: UInt32, until deadline: Nanoseconds,
        isInterruptible: Bool
    ) {
        guard deadline != .never || isInterruptible else {
            return set(
                CK_NR_futex, Kernel.address(word), Int(CK_FUTEX_WAIT | CK_FUTEX_PRIVATE), Int(value))
        }
        // Without a timeout the kernel would restart the call after a handler with SA_RESTART.
        pointee.time = ck_timespec(Swift.min(deadline, Nanoseconds(Int64.max)))
        set(
            CK_NR_futex, Kernel.address(word), Int(CK_FUTEX_WAIT_BITSET | CK_FUTEX_PRIVATE), Int(value), timeAddress, 0,
            Int(UInt32.max))
    }

    /// ppoll(2): sleeps until the eventfd is readable, with the signal mask at the address `signalMask` in effect.
    ///
    /// The result is 1, 0 (the deadline passed), or negative EINTR.
    public func waitForEvent(_ eventDescriptor: Int32, until deadline: Nanoseconds, signalMask: UInt) {
        pointee.descriptor = ck_pollfd(descriptor: eventDescriptor, events: Int16(CK_POLLIN), returned: 0)
        setRemaining(until: deadline)
        set(
            CK_NR_ppoll, Self.address(&pointee.descriptor), 1, deadline == .never ? 0 : timeAddress,
            Int(bitPattern: signalMask), 8)
    }

    /// ppoll(2) without descriptors, which does not sleep: delivers the pending signals that the mask at the address
    /// `signalMask` permits. Negative EINTR if there were any.
    public func deliverSignals(_ signalMask: UInt) {
        pointee.time = ck_timespec()
        set(CK_NR_ppoll, 0, 0, timeAddress, Int(bitPattern: signalMask), 8)
    }

    /// io_getevents(2), or with the signal mask at the address `mask`, unless that is 0, io_pgetevents(2), until a
    /// deadline; 0 is now.
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

    /// The address of a field: sound, since the value is in memory and does not move.
    private static func address<Field>(_ field: UnsafeMutablePointer<Field>) -> Int { Int(bitPattern: field) }

    private func setRemaining(until deadline: Nanoseconds) {
        // Most calls wait indefinitely or not at all, and need no clock.
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
