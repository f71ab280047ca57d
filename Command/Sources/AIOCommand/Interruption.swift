import AIO
import Glibc
import Synchronization

/// SIGINT, SIGTERM and SIGHUP ask the command to stop. Long-running code polls this state and returns early, so that
/// what it created is cleaned up on the way out.
enum Interruption {
    /// The signal that arrived, or 0. Relaxed: it publishes no other data.
    private static let signal = Atomic<Int32>(0)

    @inline(__always)
    static var isRequested: Bool { signal.load(ordering: .relaxed) != 0 }

    /// Installs the handlers. A second signal of the same kind ends the process at once.
    static func listen() {
        // Initialises the global before the handler can run: the lazy initialisation must not happen in the handler.
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

    /// Unblocks the signals: the parent may have blocked them for its own purposes, and the mask is inherited.
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
