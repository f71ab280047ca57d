internal import CKernel
internal import Synchronization

extension FutexWait {
    /// Executes the wait on a worker's thread. Without futex_waitv(2) it sleeps in slices, and checks for a cancel in
    /// between.
    func blockingResult() -> Int {
        guard let cancelWord else { return -Int(EINVAL) }
        var usesVector = true
        while true {
            // Acquire, paired with the release in `FutexCancels.cancel`: the writes before the cancel request precede
            // its completion.
            guard cancelWord.pointee.load(ordering: .acquiring) == 0 else { return -Int(ECANCELED) }
            if usesVector {
                let result = Kernel.futexWait(word, while: value, flags, or: cancelWord)
                switch result {
                case 0: return 0
                case 1, -Int(EINTR): continue
                // Not in this kernel (before 5.16), or forbidden by a filter.
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
