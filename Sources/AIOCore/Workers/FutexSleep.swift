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

    /// Executes the wait without waiting: the result if it ends at once, and nil while it would wait.
    func attempt() -> Int? {
        let result = Kernel.futexWait(word, while: value, isPrivate: isPrivate, until: 0)
        return result == -Int(ETIMEDOUT) || result == -Int(EINTR) ? nil : result
    }

    /// How long a cancel may go unnoticed without futex_waitv(2).
    private static var slice: Nanoseconds { 20_000_000 }
}

extension WorkerPool {
    /// Under the lock, without any thread: ends the futex waits that a worker would end at once, since their words have
    /// changed. The others wait for a thread.
    func endChangedFutexWaits() {
        assert(lock.isHeld)
        var next = state.pointee.remote.first
        while let slot = next {
            next = state.pointee.remote.after(slot, items)
            guard case .futexWait(let wait) = items[slot].operation, let result = wait.attempt() else { continue }
            state.pointee.remote.remove(slot, items)
            items[slot].state = .running
            finish(slot, result)
        }
    }
}
