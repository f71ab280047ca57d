internal import CKernel
internal import Synchronization

/// The argument of ``Operation/futexWait(_:)``. Completes with 0 after a wake-up (FUTEX_WAKE) of the word, and with
/// EAGAIN at once if the word does not hold `value`.
///
/// A ring waits without a thread (6.7). Elsewhere each wait occupies a worker, and all waits together three quarters of
/// the workers at most. A wait beyond that starts once a worker is free: a waker must change the word before the
/// wake-up, as it must against the lost wake-up of any futex. Without futex_waitv(2) (5.16) the worker polls for a
/// cancel: it sleeps in slices of 20 ms, and a wake-up between two slices completes the wait with EAGAIN if the word
/// has changed. So it is where no worker can be started.
public struct FutexWait: BitwiseCopyable, @unchecked Sendable {
    // @unchecked: the word is accessed by several threads by design; it is borrowed until the completion is drained.

    /// The futex word: 32 bits, naturally aligned.
    public var word: UnsafeMutablePointer<UInt32>
    /// The value of the word on which to wait.
    public var value: UInt32
    /// Whether the word is private to this process (FUTEX_PRIVATE_FLAG), which is cheaper.
    public var isPrivate: Bool
    /// Set by the queue: a nonzero value, announced by a wake-up, tells the sleeping worker to stop.
    var cancelWord: UnsafeMutablePointer<Atomic<UInt32>>?

    /// A wait on `word` while it holds `value`. The word is borrowed until the completion is drained.
    public init(_ word: UnsafeMutablePointer<UInt32>, while value: UInt32, isPrivate: Bool = true) {
        self.word = word
        self.value = value
        self.isPrivate = isPrivate
    }

    /// The flags in the form that futex_waitv(2) and rings take.
    var flags: UInt32 { CK_FUTEX2_SIZE_U32 | (isPrivate ? CK_FUTEX2_PRIVATE : 0) }

}
