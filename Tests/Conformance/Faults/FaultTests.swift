import AIO
import Glibc
import Testing

/// With each system call of a task failing in turn, with each error that it may meet: the result is an error that names
/// the operation and the path, or a success that is right; and nothing is left behind.
@Suite(
    .enabled(if: getenv("AIO_TEST_FAULTS") != nil, "the walks take many minutes; AIO_TEST_FAULTS=1 runs them"),
    .timeLimit(.minutes(10)), .serialized
) struct FaultTests {
    static let names = engines.map(\.description)

    @Test(.notSimulated(.process), arguments: names)
    func filesReportEachFailure(_ engine: String) async {
        await #expect(processExitsWith: .success) { [engine = engine as String] in
            try await FaultWalk.walk(FileFaults.all, engine)
        }
    }

    @Test(.notSimulated(.process), arguments: names)
    func aReplacedFileIsOldOrNew(_ engine: String) async {
        await #expect(processExitsWith: .success) { [engine = engine as String] in
            try await FaultWalk.walk(ReplaceFaults.all, engine)
        }
    }

    @Test(.notSimulated(.process), arguments: names)
    func aCopyIsWholeOrFails(_ engine: String) async {
        await #expect(processExitsWith: .success) { [engine = engine as String] in
            try await FaultWalk.walk(CopyFaults.all, engine)
        }
    }

    @Test(.notSimulated(.process), arguments: names)
    func noNameIsLostSilently(_ engine: String) async {
        await #expect(processExitsWith: .success) { [engine = engine as String] in
            try await FaultWalk.walk(DirectoryFaults.all, engine)
        }
    }
}
