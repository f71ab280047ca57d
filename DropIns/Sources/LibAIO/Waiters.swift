internal import AIOCore

/// The threads that wait for a context's events.
struct Waiters: BitwiseCopyable {
    /// The smallest number of events that one of them wants. A wake-up resets it, unless threads wait with a signal
    /// mask.
    private(set) var wanted = Int.max
    /// An eventfd for the threads that wait with a signal mask; -1 until one does.
    private(set) var descriptor: Int32 = -1
    /// The number of these threads. It is too high if one has left by siglongjmp(3).
    private(set) var maskedCount = 0
    /// The eventfd of threads that waited when the context ended, and may not have woken up yet.
    private var formerDescriptor: Int32 = -1

    /// Counts in a thread that is about to sleep.
    mutating func begin(wanting count: Int) {
        assert(count > 0, "a thread waits for no events")
        wanted = min(wanted, count)
    }

    /// Counts in a thread that is about to sleep with a signal mask. Returns the eventfd or a negative errno.
    mutating func beginMasked() -> Int {
        if descriptor < 0 {
            let made = Kernel.eventDescriptor()
            guard made >= 0 else { return made }
            descriptor = GuestNumbers.moveUp(Int32(made))
        }
        maskedCount += 1
        return Int(descriptor)
    }

    mutating func endMasked() {
        assert(maskedCount > 0 && descriptor >= 0, "more threads end their waits than have begun one")
        maskedCount -= 1
    }

    /// Whether waiters are to be woken, now that there are `count` events. If so the caller wakes all of them, and they
    /// count themselves in again. `wanted` stays while threads wait with a signal mask, since each of them may wake
    /// late.
    mutating func isWoken(by count: Int) -> Bool {
        guard count >= wanted else { return false }
        if maskedCount == 0 { wanted = .max }
        return true
    }

    /// The context has ended, and all waiters were woken.
    mutating func reset() {
        assert(maskedCount == 0 || descriptor >= 0, "threads wait without an eventfd")
        if maskedCount == 0 {
            if descriptor >= 0 { GuestNumbers.close(descriptor) }
        } else {
            if formerDescriptor >= 0 { GuestNumbers.close(formerDescriptor) }
            formerDescriptor = descriptor
        }
        descriptor = -1
        maskedCount = 0
        wanted = .max
    }
}
