import Glibc

@testable import AIOCore

/// A pseudoterminal: a stream that supports no RWF_NOWAIT.
struct Terminal: ~Copyable {
    /// The end that a program has, in canonical mode: a read returns one line.
    let program: Int32
    private let keyboard: Int32

    init() throws {
        let keyboard = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
        guard keyboard >= 0 else { throw NoTerminal(errno: errno) }
        var isLocked: Int32 = 0
        // TIOCSPTLCK and TIOCGPTPEER: unlockpt(3), which Glibc's module does not show, and an open of the other end.
        let unlocked = withUnsafePointer(to: &isLocked) { Kernel.ioctl(keyboard, 0x4004_5431, Int(bitPattern: $0)) }
        let opened = Kernel.ioctl(keyboard, 0x5441, Int(O_RDWR | O_NOCTTY | O_CLOEXEC))
        guard unlocked == 0, opened >= 0 else {
            close(keyboard)
            throw NoTerminal(errno: Int32(-min(unlocked, opened)))
        }
        self.keyboard = keyboard
        program = Int32(opened)
    }

    deinit {
        close(program)
        close(keyboard)
    }

    /// Types a line, and waits until the program can read it: the kernel takes it from one end to the other by itself.
    func type(_ line: String) {
        _ = write(keyboard, line, line.utf8.count)
        var entry = pollfd(fd: program, events: Int16(POLLIN), revents: 0)
        _ = poll(&entry, 1, 20_000)
    }

    /// Sets O_NONBLOCK of the program's end, or clears it.
    func setNonBlocking(_ isNonBlocking: Bool) {
        _ = fcntl(program, F_SETFL, fcntl(program, F_GETFL) & ~O_NONBLOCK | (isNonBlocking ? O_NONBLOCK : 0))
    }

    struct NoTerminal: Error { let errno: Int32 }
}
