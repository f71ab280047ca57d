internal import CKernel
internal import Synchronization

/// A descriptor that the library makes readable, and that knows itself again: a timerfd with a mark of its own.
///
/// A program may close numbers that it does not know (closefrom(3), close_range(2)), and open its own files under them: a
/// write of eight bytes to what was an eventfd then goes into one of these. A timer is set, not written to, which fails on
/// everything else; and its interval, which would come after 73 years at the earliest, is a mark that no other timer has. So
/// it is asked for its mark first, and left alone if it has another. That is one call more, some 0.1 us.
public struct MarkedTimer: BitwiseCopyable, Sendable {
    /// -1 for none.
    public let number: Int32
    let mark: Nanoseconds

    init(number: Int32, mark: Nanoseconds) {
        self.number = number
        self.mark = mark
    }

    /// timerfd_create(2), under a high number. nil if there are no more descriptors; then `errno` says why.
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

    /// Between 2^61 and 2^62 nanoseconds, and hardly ever the same twice.
    private static func newMark() -> Nanoseconds {
        // Relaxed: a counter, and nothing else.
        var mixed = Kernel.now() &+ marks.wrappingAdd(0x9e37_79b9_7f4a_7c15, ordering: .relaxed).newValue
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return 1 << 61 | (mixed ^ (mixed >> 31)) >> 3
    }

    private static let marks = Atomic<UInt64>(0)

    /// 31 bits of the mark, as the upper half of a word.
    var tag: UInt64 { (mark & 0x7fff_ffff) << 32 }

    /// Whether the number still names this timer.
    public var isOurs: Bool { number >= 0 && Kernel.timerInterval(number) == mark }

    /// Readable from `deadline` on, or with nil not at all. False if the number is another file's, which is left alone.
    /// Async-signal-safe.
    @discardableResult
    public func set(_ deadline: Nanoseconds?) -> Bool {
        guard isOurs else { return false }
        return Kernel.setTimer(number, at: max(deadline ?? 0, deadline == nil ? 0 : 1), interval: mark) == 0
    }

    /// Readable now.
    @discardableResult
    public func signal() -> Bool { set(1) }

    public func close() {
        if isOurs { GuestNumbers.close(number) }
    }
}
