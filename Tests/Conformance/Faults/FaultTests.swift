import AIO
import Glibc
import Testing

/// With each system call of a task failing in turn, with each error that it may meet: the result is an error that names
/// the operation and the path, or a success that is right; and nothing is left behind.
@Suite(.timeLimit(.minutes(10)), .serialized) struct FaultTests {
    static let names = engines.map(\.description)

    @Test(.notSimulated(.process), arguments: names)
    func filesReportEachFailure(_ engine: String) async {
        await #expect(processExitsWith: .success) { [engine = engine as String] in
            try await FaultWalk.walk(FileFaults.all, engine)
        }
    }

    /// What the kernel has cached needs no worker, and the walk above meets no call of one for it.
    @Test(.notSimulated(.process), arguments: names)
    func filesReportEachFailureOfAWorker(_ engine: String) async {
        await #expect(processExitsWith: .success) { [engine = engine as String] in
            let names = ["whole files", "names"]
            let scenarios = (FileFaults.all + DirectoryFaults.all).filter { names.contains($0.name) }
            try await FaultWalk.walk(scenarios, engine, inlineAttempts: false)
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

    @Test(arguments: names)
    func streamsReportEachFailure(_ engine: String) async {
        await #expect(processExitsWith: .success) { [engine = engine as String] in
            try await FaultWalk.walk(StreamFaults.all, engine)
        }
    }

    @Test(arguments: names)
    func noEventIsLostSilently(_ engine: String) async {
        await #expect(processExitsWith: .success) { [engine = engine as String] in
            try await FaultWalk.walk(EventFaults.all, engine)
        }
    }

    @Test(.notSimulated(.process), arguments: names)
    func transientErrorsOfEnginesAreNotSeen(_ engine: String) async {
        await #expect(processExitsWith: .success) { [engine = engine as String] in
            let scenarios = [FileFaults.all, ReplaceFaults.all, CopyFaults.all, DirectoryFaults.all, StreamFaults.all]
            try await FaultWalk.walkTransients(scenarios.flatMap(\.self) + EventFaults.all, engine)
        }
    }

    @Test(arguments: names)
    func aStartThatFailsLeavesNothing(_ engine: String) async {
        await #expect(processExitsWith: .success) { [engine = engine as String] in
            try await StartFaults.walk(engine)
        }
    }
}
