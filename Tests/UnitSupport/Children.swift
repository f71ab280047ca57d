import Glibc

/// Runs `body` in a forked child. Returns the child's exit status, up to 255; nil if a signal ends it.
///
/// The child has one thread, and locks that other threads of the parent held at the fork (in Swift's runtime, or in a
/// sanitizer) stay locked in it. A child that has not ended after a minute is therefore killed, and the fork repeated,
/// twice at most.
public func exitStatusOfChild(_ body: () -> Int32) -> Int32? {
    typealias Fork = @convention(c) () -> pid_t
    // Glibc's module hides fork, since little is safe after it. It must be libc's function, which takes the locks of
    // malloc, while a sanitizer takes its own.
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
