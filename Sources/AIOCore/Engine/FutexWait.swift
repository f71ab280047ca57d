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

    /// On a worker's thread.
    func blockingResult() -> Int {
        guard let cancelWord else { return -Int(EINVAL) }
        var usesVector = true
        while true {
            // Acquire, as a lock would have it: the asker's doings come before the answer.
            guard cancelWord.pointee.load(ordering: .acquiring) == 0 else { return -Int(ECANCELED) }
            if usesVector {
                let result = Kernel.futexWait(word, while: value, flags, or: cancelWord)
                switch result {
                case 0: return 0
                case 1, -Int(EINTR): continue
                // Not in this kernel, or forbidden here.
                case -Int(ENOSYS), -Int(EPERM): usesVector = false
                case -Int(EAGAIN) where cancelWord.pointee.load(ordering: .acquiring) != 0: continue
                default: return result
                }
            } else {
                let result = Kernel.futexWait(
                    word, while: value, isPrivate: isPrivate, until: Kernel.now() &+ Self.slice)
                guard result == -Int(ETIMEDOUT) || result == -Int(EINTR) else { return result }
            }
        }
    }

    /// How long a cancel may go unnoticed without futex_waitv(2).
    private static var slice: Nanoseconds { 20_000_000 }
}

/// A word for each operation of a queue that may be a wait for a futex, for its cancel to wake. Made when first needed.
struct FutexCancels: ~Copyable {
    private let capacity: Int
    private var words: UnsafeMutablePointer<Atomic<UInt32>>?

    init(capacity: Int) { self.capacity = capacity }

    deinit { words?.deallocate() }

    /// The wait with its word, which says that nobody asked for an end.
    mutating func prepare(_ wait: FutexWait, _ slot: UInt32) -> FutexWait {
        let words = words ?? makeWords()
        // Relaxed: the wait's way to its worker publishes it.
        words[Int(slot)].store(0, ordering: .relaxed)
        var wait = wait
        wait.cancelWord = words + Int(slot)
        return wait
    }

    func cancel(_ slot: UInt32) {
        guard let words else { return }
        words[Int(slot)].store(1, ordering: .releasing)
        Kernel.futexWake(words + Int(slot), 1)
    }

    private mutating func makeWords() -> UnsafeMutablePointer<Atomic<UInt32>> {
        let made = UnsafeMutablePointer<Atomic<UInt32>>.allocate(capacity: capacity)
        for index in 0..<capacity { (made + index).initialize(to: Atomic(0)) }
        words = made
        return made
    }
}
