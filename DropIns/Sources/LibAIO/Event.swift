internal import AIOCore

/// The eventfd that a program wants to be signalled (IOCB_FLAG_RESFD).
enum Event {
    /// Duplicates the descriptor, since the program may close it before the operation completes. Returns a negative
    /// errno if `number` is not an eventfd.
    static func hold(_ number: Int32) -> Int {
        let checked = Kernel.checkEvent(number)
        return checked < 0 ? checked : GuestNumbers.duplicate(number)
    }
}
