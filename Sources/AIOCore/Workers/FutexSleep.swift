internal import CKernel
internal import Synchronization

extension FutexWait {
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
