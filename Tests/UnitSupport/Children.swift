import Glibc

/// Runs `body` in a forked child. The status that the child exits with, up to 255; nil if a signal ends it.
///
/// The child has one thread, and what its parent's other threads had locked at that moment (Swift's runtime, a sanitizer)
/// stays locked in it: one that has not ended after a minute is killed, and another made, twice at most.
public func exitStatusOfChild(_ body: () -> Int32) -> Int32? {
    typealias Fork = @convention(c) () -> pid_t
    // Glibc's module hides fork, since little works after it. It has to be libc's: it takes the locks of libc's memory, and a
    // sanitizer takes its own.
    guard let symbol = dlsym(nil, "fork") else { return nil }
    let fork = unsafeBitCast(symbol, to: Fork.self)
    for _ in 0..<3 {
        let child = fork()
        guard child >= 0 else { return nil }
        if child == 0 {
            alarm(60)
            _exit(body())
        }
        var status: Int32 = 0
        while waitpid(child, &status, 0) < 0, errno == EINTR {}
        guard status & 0x7f == SIGALRM else { return status & 0x7f == 0 ? status >> 8 & 0xff : nil }
        print("a forked child hung, and was killed")
    }
    return nil
}
