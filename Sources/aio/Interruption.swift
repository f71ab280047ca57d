import AIO
import Glibc
import Synchronization

/// SIGINT, SIGTERM and SIGHUP ask the command to stop; what runs looks here often and ends by itself, so that
/// what it made is removed on the way out.
enum Interruption {
    /// The signal that came, or 0. Relaxed suffices: nothing else is published with it.
    private static let signal = Atomic<Int32>(0)

    @inline(__always)
    static var isRequested: Bool { signal.load(ordering: .relaxed) != 0 }

    /// Starts listening. A second signal of the same kind ends the process at once.
    static func listen() {
        // The global is initialised here, since its first use must not be in the handler.
        signal.store(0, ordering: .relaxed)
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { number in
            Interruption.signal.store(number, ordering: .relaxed)
        }
        action.sa_flags = Int32(bitPattern: UInt32(SA_RESETHAND))
        for signal in signals { sigaction(signal.rawValue, &action, nil) }
        unblock()
    }

    static let signals: [Signal] = [.interrupt, .terminate, .hangUp]

    /// Whoever started this may have had them blocked, and meant it for itself.
    static func unblock() {
        var listened = sigset_t()
        sigemptyset(&listened)
        for signal in signals { sigaddset(&listened, signal.rawValue) }
        pthread_sigmask(SIG_UNBLOCK, &listened, nil)
    }

    static func check(_ remains: @autoclosure () -> String = "nothing is left behind") throws {
        let number = signal.load(ordering: .relaxed)
        if number != 0 { throw Interrupted(signal: number, remains: remains()) }
    }
}
