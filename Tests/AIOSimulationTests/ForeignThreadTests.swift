import AIO
import AIOSimulation
import Glibc
import Synchronization
import Testing

/// Tasks that leave the simulation are named in its error.
struct ForeignThreadTests {
    /// A continuation that another thread resumes while the simulation's waits for that thread.
    private final class Resumption: Sendable {
        let continuation = Mutex<CheckedContinuation<Void, Never>?>(nil)

        func wait() async { await withCheckedContinuation { new in continuation.withLock { $0 = new } } }

        var isAwaited: Bool { continuation.withLock { $0 != nil } }

        func resumeElsewhere() {
            var thread = pthread_t()
            let argument = Unmanaged.passRetained(self).toOpaque()
            let refused = pthread_create(
                &thread, nil,
                { argument in
                    let resumption = argument.map { Unmanaged<Resumption>.fromOpaque($0).takeRetainedValue() }
                    resumption?.continuation.withLock { $0.take() }?.resume()
                    return nil
                }, argument)
            precondition(refused == 0)
            pthread_join(thread, nil)
        }
    }

    private func error(
        _ task: @escaping @Sendable (Resumption) -> Task<Void, any Error>
    ) async throws -> SimulationError? {
        let body: @Sendable (Simulation) async throws -> Void = { _ in
            let resumption = Resumption()
            let leaving = task(resumption)
            while !resumption.isAwaited { try await Task.sleep(for: .milliseconds(1)) }
            resumption.resumeElsewhere()
            try await leaving.value
        }
        let one = try await simulate(seed: 1, body)
        let other = try await simulate(seed: 1, body)
        #expect(one.traceHash == other.traceHash)
        let error = #expect(throws: SimulationError.self) { try one.result.get() }
        let again = #expect(throws: SimulationError.self) { try other.result.get() }
        #expect(error == again && error?.reason == .foreignThread)
        return error
    }

    @Test func aTaskThatAnotherThreadResumesIsNamed() async throws {
        let error = try await error { resumption in
            Task(name: "uploader") {
                try await FileSystem.replaceFile("/data", [1])
                await resumption.wait()
            }
        }
        #expect(error?.details.hasPrefix("another thread resumed the task \"uploader\", which last ran at 1.") == true)
        #expect(error?.description.contains("uploader") == true)
    }

    @Test func aTaskWithoutANameIsKnownByWhatItDidLast() async throws {
        let error = try await error { resumption in
            Task {
                let (reader, writer) = try await Pipe.make()
                await resumption.wait()
                try await reader.close()
                try await writer.close()
            }
        }
        #expect(error?.details.contains("resumed a task without a name, which last ran at 1.") == true)
        #expect(error?.details.contains("its last call was ") == true, "\(error?.details ?? "")")
    }
}
