import Testing

/// libaio.so.1 stands in for libc's `syscall`. What comes through it for Linux AIO, `LibAIOTests` tells.
@Suite(.timeLimit(.minutes(15))) struct RawCallTests {
    @Test(arguments: Way.all)
    func callsAtUnusualMomentsAreMadeAsWithoutUs(_ way: Way) async throws {
        try await expectSame(Program("raw_calls_early", .libaio), way)
    }
}
