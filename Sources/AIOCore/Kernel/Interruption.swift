internal import CKernel

/// A signal by which a thread of the library's is made to give up a system call that waits. Only threads that wait so let it
/// through, and only meanwhile.
///
/// A signal that is ignored interrupts nothing: so there has to be a handler, which does nothing. It is a real-time signal
/// that the program leaves alone, from the second highest on (valgrind has the highest), and it is chosen when first needed.
enum Interruption {
    /// 0 if the program has them all.
    private static let signal: Int32 = choose()

    private static func choose() -> Int32 {
        // 40: the lower ones are those that programs take.
        for number in stride(from: Int32(62), to: 40, by: -1) {
            var present = sigaction()
            guard sigaction(number, nil, &present) == 0, isDefault(present) else { continue }
            var action = sigaction()
            action.__sigaction_handler.sa_handler = { _ in }
            // Without SA_RESTART, so that the system call ends.
            guard sigaction(number, &action, nil) == 0 else { continue }
            return number
        }
        return 0
    }

    private static func isDefault(_ action: sigaction) -> Bool {
        action.__sigaction_handler.sa_handler == nil
    }

    /// Lets the signal through while `body` runs, on a thread that blocks all of them.
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
