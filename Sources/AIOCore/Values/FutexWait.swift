internal import CKernel
internal import Synchronization

/// What `Operation.futexWait` carries: completes with 0 when somebody wakes the word (FUTEX_WAKE), and with EAGAIN at once
/// if it does not hold `value`.
///
/// A ring waits by itself (6.7). Elsewhere a worker sleeps for each, and of all workers three quarters at most: a wait that
/// finds them taken begins when it gets one, so whoever wakes changes the word first, as programs do for the sake of those
/// who are about to sleep. Without futex_waitv(2) (5.16) a worker looks up now and then, and a wake that comes just then
/// completes it with EAGAIN, if the word has changed.
public struct FutexWait: BitwiseCopyable, @unchecked Sendable {
    // @unchecked: the word is made for several threads; it is borrowed until the completion is drained.

    /// 32 bits, aligned to them.
    public var word: UnsafeMutablePointer<UInt32>
    public var value: UInt32
    /// Whether only threads of this process wake it (FUTEX_PRIVATE_FLAG), which costs less.
    public var isPrivate: Bool
    /// What tells a worker to stop: not zero. The queue's.
    var cancelWord: UnsafeMutablePointer<Atomic<UInt32>>?

    public init(_ word: UnsafeMutablePointer<UInt32>, while value: UInt32, isPrivate: Bool = true) {
        self.word = word
        self.value = value
        self.isPrivate = isPrivate
    }

    /// As futex_waitv(2) and rings have them.
    var flags: UInt32 { CK_FUTEX2_SIZE_U32 | (isPrivate ? CK_FUTEX2_PRIVATE : 0) }

}
