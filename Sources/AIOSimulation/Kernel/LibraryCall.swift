/// Numbers of system calls that a program makes through the C library alone, and `AIO` never.
enum LibraryCall {
    #if arch(x86_64)
        /// sched_yield(2).
        static let yield = 24
        /// umask(2).
        static let umask = 95
    #else
        static let yield = 124
        static let umask = 166
    #endif
}
