import AIOCore
import CKernel
import Glibc
import Synchronization

/// SIGINT, SIGTERM and SIGHUP ask the command to stop; what runs looks here often and ends by itself, so that
/// what it made is removed on the way out.
enum Interruption {
    /// The signal that came, or 0. Relaxed suffices: nothing else is published with it.
    private static let signal = Atomic<Int32>(0)
    /// Where the handler writes a byte, for those who wait for a descriptor; or -1. Relaxed: set before the handler is.
    private static let notified = Atomic<Int32>(-1)

    @inline(__always)
    static var isRequested: Bool { signal.load(ordering: .relaxed) != 0 }

    /// Starts listening. A second signal of the same kind ends the process at once.
    static func listen() {
        // The globals are initialised here, since their first use must not be in the handler.
        signal.store(0, ordering: .relaxed)
        _ = notified.load(ordering: .relaxed)
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { number in
            Interruption.signal.store(number, ordering: .relaxed)
            let descriptor = Interruption.notified.load(ordering: .relaxed)
            // A system call without libc's errno, which is the interrupted code's.
            var byte: UInt8 = 0
            if descriptor >= 0 { _ = Kernel.write(descriptor, &byte, 1) }
        }
        action.sa_flags = Int32(bitPattern: UInt32(SA_RESETHAND))
        var listened = sigset_t()
        sigemptyset(&listened)
        for number in [SIGINT, SIGTERM, SIGHUP] {
            sigaction(number, &action, nil)
            sigaddset(&listened, number)
        }
        // Whoever started this may have had them blocked, and meant it for itself.
        pthread_sigmask(SIG_UNBLOCK, &listened, nil)
    }

    /// The same, and returns the reading end of a pipe that a signal puts a byte into. The caller closes it; the other end
    /// stays open as long as the process lives.
    static func listenWithDescriptor() throws(Failure) -> Int32 {
        var ends: (Int32, Int32) = (-1, -1)
        let result = Kernel.pipe(&ends, CK_PIPE_CLOEXEC)
        guard result >= 0 else { throw Failure("pipe", result: result) }
        notified.store(ends.1, ordering: .relaxed)
        listen()
        return ends.0
    }

    static func check() throws {
        let number = signal.load(ordering: .relaxed)
        if number != 0 { throw Interrupted(signal: number) }
    }
}
