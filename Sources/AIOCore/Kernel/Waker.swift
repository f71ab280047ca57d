internal import CKernel
internal import Synchronization

/// Ends an engine's wait, from any thread, without writing to a descriptor number that the program may have reused.
///
/// A ring waits on a futex word, which has no descriptor. An epoll has an entry that is always ready, and disarmed most
/// of the time; a wake-up arms it. On another epoll that fails, since it lacks the entry, and so it does on every other
/// file. On kernels before 6.7 a ring polls a timer.
final class Waker: @unchecked Sendable {
    // @unchecked: the pointer never changes, and the word behind it is atomic, as are the other properties.

    /// The futex word that a ring waits on: a count of wake-ups.
    let word: UnsafeMutablePointer<Atomic<UInt32>>
    /// The mark never changes; the numbers do if the program has closed them.
    private let mark = Atomic<UInt64>(0)
    /// An epoll's number in the upper half, a timer's in the lower; -1 for none.
    private let numbers = Atomic<UInt64>(.max)

    init() {
        word = .allocate(capacity: 1)
        word.initialize(to: Atomic(0))
    }

    deinit { word.deallocate() }

    /// Sets the descriptors to wake. The engine must check everything once afterwards: a wake-up in between may have
    /// reached the previous descriptors.
    func follow(epoll: Int32, _ timer: MarkedTimer) {
        mark.store(timer.mark, ordering: .relaxed)
        let pair = UInt64(UInt32(bitPattern: epoll)) << 32 | UInt64(UInt32(bitPattern: timer.number))
        // Release: whoever loads the numbers sees their mark.
        numbers.store(pair, ordering: .releasing)
    }

    /// Wakes all waits on the word, before its memory is freed.
    func releaseWord() {
        word.pointee.wrappingAdd(1, ordering: .sequentiallyConsistent)
        Kernel.futexWake(word, .max)
    }

    /// False if the descriptors to wake are gone, which the engine detects by itself.
    @discardableResult
    func wake() -> Bool {
        // Acquire: pairs with the release in `follow`.
        let pair = numbers.load(ordering: .acquiring)
        guard pair != .max else {
            // Sequentially consistent with the ring's load of the word before it waits, against a lost wake-up.
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
