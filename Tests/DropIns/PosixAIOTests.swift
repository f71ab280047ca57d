import Testing

/// Programs give the same results with libc's POSIX AIO and with ours, except where libc's is known to be defective.
@Suite(.serialized, .timeLimit(.minutes(15))) struct PosixAIOTests {
    static let programs = [
        "posix_calls", "posix_streams", "posix_notify", "posix_waits", "posix_process", "posix_unwinding",
        "posix_whole_writes", "posix_closes", "posix_scarcity",
    ].filter(Program.isWanted).map { Program($0, .posixaio) }

    // libc's implementation is part of libc, so ours can only be preloaded.
    @Test(arguments: programs, Way.preloads)
    func resultsAreThoseOfTheSystemsLibrary(_ program: Program, _ way: Way) async throws {
        try await expectSame(program, way, better: Self.better)
    }

    /// Keys are `program: case/what`.
    static let better: [String: Better] = [
        "posix_scarcity: no-threads-from-the-beginning/first": Better(
            "0 refused, all done: yes, sync 0", because: needsNoThread),
        "posix_scarcity: no-threads-from-the-beginning/again": Better(
            "0 refused, all done: yes, sync 0", because: needsNoThread),
        "posix_whole_writes: appending-is-set-afterwards/files that grew": Better("0", because: flagsAreUsedLater),
        "posix_whole_writes: appending-is-set-afterwards/pieces elsewhere": Better("0", because: flagsAreUsedLater),
        "posix_whole_writes: direct-is-set-afterwards/failed": Better("0", because: flagsAreUsedLater),
        "posix_streams: a-waiting-read-holds-up-no-write/the write ends": Better("yes", because: oneAtATime),
        "posix_streams: a-terminal-that-waits-both-ways/the write ends": Better("yes", because: oneAtATime),
        "posix_streams: waiting-reads-hold-up-nobody/a write ends": Better("yes", because: twentyThreads),
        "posix_streams: waiting-reads-hold-up-nobody/a sync ends": Better("yes", because: twentyThreads),
        "posix_streams: nothing/eventfd": Better("0", "-EINVAL", because: ringsAskNoPlainCalls),
        "posix_streams: nothing//dev/full": Better("0", "-ENOSPC", because: ringsAskNoPlainCalls),
        "posix_streams: nothing/timer, an address of the kernel's": Better(
            "-EFAULT", "-EINVAL", because: ringsAskNoPlainCalls),
        "posix_notify: thread-ids/of a write": Better(
            "signal minimum + 1, code -4, value 9, of this process",
            because: "libc knows SIGEV_THREAD_ID for timers, and sends nothing here"),
        "posix_waits: interruptions/list": Better("-1, EINTR", because: leftOnTheStack),
        "posix_waits: interruptions/handled": Better("4", because: leftOnTheStack),
        "posix_waits: interruptions/in progress still": Better("yes", because: leftOnTheStack),
        "posix_waits: interruptions/with a time limit": Better("-1, EINTR", because: leftOnTheStack),
        "posix_waits: interruptions/with a time limit, restarting": Better("-1, EINTR", because: leftOnTheStack),
        "posix_waits: interruptions/without one": Better("-1, EINTR", because: leftOnTheStack),
        "posix_waits: interruptions/first": Better("1", because: leftOnTheStack),
        "posix_waits: interruptions/second": Better("1", because: leftOnTheStack),
        "posix_process: a-child-begins-afresh/the child succeeds": Better("yes", because: childHasNoThreads),
        "posix_process: a-child-begins-afresh/the parent's read": Better("1", because: childHasNoThreads),
        "posix_process: a-child-begins-afresh/the parent's next": Better("10", because: childHasNoThreads),
        "posix_process: generations/the grandchild succeeds": Better("yes", because: childHasNoThreads),
        "posix_process: a-close-with-a-read-in-progress/first": Better("1", because: numberIsUsedLater),
        "posix_process: a-close-with-a-read-in-progress/second": Better("1", because: numberIsUsedLater),
        "posix_process: a-close-with-a-read-in-progress/read from what was meant": Better(
            "yes", because: numberIsUsedLater),
        "posix_process: a-close-with-a-read-in-progress/left in the other": Better("3", because: numberIsUsedLater),
        "posix_process: a-close-with-writes-in-progress/wrong": Better("0", because: numberIsUsedLater),
        "posix_process: a-close-with-writes-in-progress/files that nobody meant": Better(
            "0", because: numberIsUsedLater),
        "posix_process: a-number-used-again-waits-for-nobody/a read of the new file ends": Better(
            "yes", because: numberIsUsedLater),
        "posix_process: a-close-before-a-sync/write": Better("4096", because: numberIsUsedLater),
        "posix_process: a-close-before-a-sync/sync": Better("0", because: numberIsUsedLater),
    ]

    private static let ringsAskNoPlainCalls =
        "a ring does not ask files whose driver has the plain calls alone when there is nothing to write"
    private static let oneAtATime = "libc carries out one request at a time per descriptor, whichever direction it has"
    private static let twentyThreads = "libc has 20 threads, and those that wait hold one each"
    private static let leftOnTheStack =
        "libc leaves the list of those who wait on the stack of the call that was interrupted, and crashes"
    private static let childHasNoThreads = "in libc a child counts on the threads of its parent, and waits for ever"
    private static let needsNoThread = "what finds no thread is carried out in the call"
    private static let flagsAreUsedLater =
        "libc looks at the file's flags when the request's turn comes, and the program may have set others by then"
    private static let numberIsUsedLater = "libc looks the number up when the request's turn comes (BZ#14942)"
}
