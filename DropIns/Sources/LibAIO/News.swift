internal import AIOCore
internal import Synchronization

/// The futex word of the threads that wait for a context's events, with a mark that saves the publisher a system call
/// while none sleeps. Both are never freed.
struct News: BitwiseCopyable {
    /// Changes when the threads have to look again.
    let word: UnsafeMutablePointer<Atomic<UInt32>>
    /// 1 if a thread may sleep on the word. The waker clears it, never the sleeper: one that has left by siglongjmp(3)
    /// costs one superfluous futex call.
    private let isSleptOn: UnsafeMutablePointer<Atomic<UInt32>>

    /// Both places are uninitialized.
    init(_ word: UnsafeMutablePointer<Atomic<UInt32>>, mark: UnsafeMutablePointer<Atomic<UInt32>>) {
        self.word = word
        isSleptOn = mark
        word.initialize(to: Atomic(0))
        mark.initialize(to: Atomic(0))
    }

    /// Announces that the calling thread is about to sleep while the word holds a value that it has loaded before.
    /// Sequentially consistent, against a lost wake-up: either the publisher sees that a thread may sleep, or the
    /// kernel sees that the word has changed.
    func announceSleep() { isSleptOn.pointee.store(1, ordering: .sequentiallyConsistent) }

    /// Makes the threads look again that have loaded the word and not slept yet; `wakeSleepers` follows.
    func change() { word.pointee.wrappingAdd(1, ordering: .sequentiallyConsistent) }

    /// Called after a change. Sequentially consistent with a thread that goes to sleep, which stores and loads in the
    /// opposite order.
    func wakeSleepers() {
        guard isSleptOn.pointee.exchange(0, ordering: .sequentiallyConsistent) != 0 else { return }
        // Against a lost wake-up: the mark may be that of a thread that has taken the events already and is about to
        // sleep until the next ones, for which nobody would wake it without a mark. This change keeps it awake.
        change()
        Kernel.futexWake(word, .max)
    }
}
