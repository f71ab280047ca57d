internal import CKernel
internal import Synchronization

/// What ends an engine's wait, from any thread, without a write to a number that may be the program's by now.
///
/// A ring waits for a word in memory (futex(2), which has no number). An epoll has an entry that is always ready and mostly
/// not asked for: to ask for it, which is what a wake-up does, fails on every other epoll, since it does not have the entry,
/// and on every other file. On kernels before 6.7 a ring polls a timer.
final class Waker: @unchecked Sendable {
    // @unchecked: the pointer is made once, and what it points at is atomic; so is the rest.

    /// What a ring waits for. Counts wake-ups.
    let word: UnsafeMutablePointer<Atomic<UInt32>>
    /// The mark never changes; the numbers may, if the program has closed them.
    private let mark = Atomic<UInt64>(0)
    /// An epoll in the upper half and a timer in the lower; -1 for none.
    private let numbers = Atomic<UInt64>(.max)

    init() {
        word = .allocate(capacity: 1)
        word.initialize(to: Atomic(0))
    }

    deinit { word.deallocate() }

    /// From now on it is these that are woken. The engine looks at everything once more after this, since what was woken
    /// meanwhile may have been what was there before.
    func follow(epoll: Int32, _ timer: MarkedTimer) {
        mark.store(timer.mark, ordering: .relaxed)
        let pair = UInt64(UInt32(bitPattern: epoll)) << 32 | UInt64(UInt32(bitPattern: timer.number))
        // Release: whoever finds the numbers finds their mark.
        numbers.store(pair, ordering: .releasing)
    }

    /// Nothing waits for the word from now on.
    func releaseWord() {
        word.pointee.wrappingAdd(1, ordering: .sequentiallyConsistent)
        Kernel.futexWake(word, .max)
    }

    /// False if what was to be woken is not there any more: the engine finds that out for itself.
    @discardableResult
    func wake() -> Bool {
        let pair = numbers.load(ordering: .acquiring)
        guard pair != .max else {
            // Sequentially consistent with the ring's look at the word before it waits for it.
            word.pointee.wrappingAdd(1, ordering: .sequentiallyConsistent)
            Kernel.futexWake(word, 1)
            return true
        }
        let timer = MarkedTimer(
            number: Int32(truncatingIfNeeded: pair), mark: mark.load(ordering: .relaxed))
        let epoll = Int32(truncatingIfNeeded: pair >> 32)
        guard epoll >= 0 else { return timer.signal() }
        return timer.isOurs && OwnedEpoll.ask(epoll, timer)
    }
}
