import Foundation
import Testing
import UnitSupport

/// What the other tests rely on when they run a program.
@Suite(.timeLimit(.minutes(10))) struct CommandRunTests {
    private let input = [UInt8](repeating: 7, count: 300_000)

    @Test func aProgramMayWriteMoreThanPipesHoldBeforeItReads() throws {
        let script = "head -c 300000 /dev/zero >&2; head -c 300000 /dev/zero; cat"
        let run = try CommandRun(["sh", "-c", script], in: "/", input: input)
        #expect(run.status == 0 && run.errors.utf8.count == 300_000)
        #expect(run.output == [UInt8](repeating: 0, count: 300_000) + input)
    }

    @Test func aProgramMayLeaveItsInput() throws {
        #expect(try CommandRun(["true"], in: "/", input: input).status == 0)
        // Nor does the tests' process ignore SIGPIPE from then on, which its children would inherit.
        let state = try CommandRun(["grep", "SigIgn", "/proc/self/status"], in: "/")
        let ignored = try #require(state.lines.first?.split(separator: "\t").last.flatMap { UInt64($0, radix: 16) })
        #expect(ignored & 1 << UInt64(SIGPIPE - 1) == 0)
    }
}
