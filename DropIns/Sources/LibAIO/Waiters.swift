internal import AIOCore
internal import CDropIns

/// Those who wait for a context's events.
struct Waiters: BitwiseCopyable {
    /// The least number of events that one of them wants; of those without a signal mask since the last were woken.
    private(set) var wanted = Int.max
    /// An eventfd for those who wait with a signal mask; -1 until one does.
    private(set) var descriptor: Int32 = -1
    /// These; and those that a signal handler took elsewhere, which makes it too high.
    private(set) var maskedCount = 0
    /// Where such threads waited when the context ended, which may not have woken yet.
    private var formerDescriptor: Int32 = -1

    /// One is about to sleep.
    mutating func begin(wanting count: Int) { wanted = min(wanted, count) }

    /// One is about to sleep with a signal mask. Returns the eventfd, or negative why there is none.
    mutating func beginMasked() -> Int {
        if descriptor < 0 {
            let made = Kernel.eventDescriptor()
            guard made >= 0 else { return made }
            descriptor = GuestNumbers.moveUp(Int32(made))
        }
        maskedCount += 1
        return Int(descriptor)
    }

    mutating func endMasked() { maskedCount -= 1 }

    /// Whether there is somebody to be woken, now that there are `count` events. If so the caller wakes all, who then
    /// begin again; but with a signal mask they may each wake late.
    mutating func isWoken(by count: Int) -> Bool {
        guard count >= wanted else { return false }
        if maskedCount == 0 { wanted = .max }
        return true
    }

    /// The context has ended, and all were woken.
    mutating func reset() {
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
