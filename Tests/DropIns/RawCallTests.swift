import Testing

/// libaio.so.1 replaces libc's `syscall`. Calls of Linux AIO through it are tested by `LibAIOTests`.
@Suite(.timeLimit(.minutes(15))) struct RawCallTests {
    @Test(arguments: Way.all)
    func callsAtUnusualMomentsAreMadeAsWithoutUs(_ way: Way) async throws {
        try await expectSame(Program("raw_calls_early", .libaio), way)
    }
}
