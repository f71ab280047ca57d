internal import CKernel
internal import Synchronization

/// A descriptor for wake-ups that can verify its own identity: a timerfd with a unique interval.
///
/// A program may close descriptors that it does not know (closefrom(3), close_range(2)) and reuse their numbers; a
/// wake-up that writes eight bytes to a former eventfd would then corrupt one of its files. A timer is set instead of
/// written to, which fails on every other type of file. Its interval, which would first elapse after 73 years, is a
/// mark that no other timer has: `set` checks it first, and leaves another timer alone. This costs one more system
/// call, some 0.1 us.
public struct MarkedTimer: BitwiseCopyable, Sendable {
    /// -1 for none.
    public let number: Int32
    let mark: Nanoseconds

    init(number: Int32, mark: Nanoseconds) {
        self.number = number
        self.mark = mark
    }

    /// timerfd_create(2), with a high number. nil without a free descriptor; `errno` is then the reason.
    public init?(errno: inout Int32) {
        let made = Kernel.timerDescriptor()
        guard made >= 0 else {
            errno = Int32(-made)
            return nil
        }
        number = GuestNumbers.moveUp(Int32(made))
        mark = Self.newMark()
        _ = Kernel.setTimer(number, at: 0, interval: mark)
    }

    /// Between 2^61 and 2^62 nanoseconds, and practically unique.
    private static func newMark() -> Nanoseconds {
        // Relaxed: a counter that orders nothing.
        var mixed = Kernel.now() &+ marks.wrappingAdd(0x9e37_79b9_7f4a_7c15, ordering: .relaxed).newValue
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return 1 << 61 | (mixed ^ (mixed >> 31)) >> 3
    }

    private static let marks = Atomic<UInt64>(0)

    /// 31 bits of the mark, in the upper half of a word.
    var tag: UInt64 { (mark & 0x7fff_ffff) << 32 }

    /// Whether the number still names this timer.
    public var isOurs: Bool { number >= 0 && Kernel.timerInterval(number) == mark }

    /// Makes the timer readable from `deadline` on; nil disarms it. False if the number names another file, which is
    /// left alone. Async-signal-safe.
    @discardableResult
    public func set(_ deadline: Nanoseconds?) -> Bool {
        guard isOurs else { return false }
        return Kernel.setTimer(number, at: max(deadline ?? 0, deadline == nil ? 0 : 1), interval: mark) == 0
    }

    /// Makes the timer readable immediately.
    @discardableResult
    public func signal() -> Bool { set(1) }

    /// Closes the timer, unless the number names another file.
    public func close() {
        if isOurs { GuestNumbers.close(number) }
    }
}
