internal import CKernel

/// A signal that makes a thread of the library abandon a blocking system call. Only threads in such a call unblock it,
/// and only meanwhile.
///
/// An ignored signal does not interrupt a call, so it has an empty handler. It is a real-time signal that the program
/// does not use, chosen on first use from 62 down (of 64; valgrind uses the highest).
enum Interruption {
    /// 0 if the program uses all of them.
    private static let signal: Int32 = choose()

    private static func choose() -> Int32 {
        // Down to 41: programs take the lower ones.
        for number in stride(from: Int32(62), to: 40, by: -1) {
            var present = sigaction()
            guard sigaction(number, nil, &present) == 0, isDefault(present) else { continue }
            var action = sigaction()
            action.__sigaction_handler.sa_handler = { _ in }
            // Without SA_RESTART, so that the system call fails with EINTR.
            guard sigaction(number, &action, nil) == 0 else { continue }
            return number
        }
        return 0
    }

    private static func isDefault(_ action: sigaction) -> Bool {
        action.__sigaction_handler.sa_handler == nil
    }

    /// Unblocks the signal while `body` runs, on a thread that blocks all signals.
    static func allowed(_ body: () -> Int) -> Int {
        guard signal > 0 else { return body() }
        var mask = sigset_t()
        sigemptyset(&mask)
        sigaddset(&mask, signal)
        pthread_sigmask(SIG_UNBLOCK, &mask, nil)
        let result = body()
        pthread_sigmask(SIG_BLOCK, &mask, nil)
        return result
    }

    static func interrupt(_ thread: Int32) {
        if signal > 0 { _ = Kernel.sendSignal(signal, thread: thread) }
    }
}
