import AIO
import AIOCore
import CKernel
import Glibc
import Testing
import UnitSupport

/// After fork(2) without exec a child has neither its parent's rings nor its threads. The library reports that, and the
/// child may create its own. Each case forks in a separate process, whose other threads do not matter.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct ForkTests {
    static let names = engines.map(\.description)

    @Test(.notSimulated(.process), arguments: names)
    func aQueueInAChildRefusesEverything(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            nonisolated(unsafe) let queue = try IOQueue(configuration(name))
            let memory = Memory(count: 1)
            let pipe = try Ends(.pipe, false)
            let token = try queue.prepare(.read(memory.transfer(pipe.reading)))
            try queue.submit()
            let isRefused = inChild {
                code { try queue.prepare(.nop) } == .forked && code { try queue.submit() } == .forked
                    && code { try queue.wait() } == .forked && code { try queue.blockingPerform(.nop) } == .forked
                    && code { try queue.pollableDescriptor } == .forked && !queue.requestCancel(token)
                    && code { try queue.register(files: [0]) } == .forked
                    && code { try queue.unregisterFiles() } == .forked
                    && code { try queue.register(buffers: []) } == .forked
                    && code { try queue.unregisterBuffers() } == .forked
                    && code { try IOQueue.wait(forAnyOf: [queue]) } == .forked
                    && queue.drain { _, _ in } == 0
            }
            #expect(isRefused)
            // The parent's queue is unchanged.
            pipe.put([5])
            try queue.waitPatiently()
            #expect(queue.completions() == [Drained(token, 1, 0)])
            #expect(memory.bytes == [5])
        }
    }

    @Test(.notSimulated(.process), arguments: names)
    func aChildMayDropItsParentsQueueAndMakeItsOwn(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            let pipe = try Ends(.pipe, false)
            let memory = Memory(count: 1)
            var queue: IOQueue? = try IOQueue(configuration(name))
            try queue?.prepare(.read(memory.transfer(pipe.reading)))
            try queue?.submit()
            nonisolated(unsafe) let reference = Unmanaged.passRetained(try #require(queue))
            queue = nil
            let works = inChild {
                // Its deinitializer must neither wait for completions that never come in the child, nor disturb the
                // parent.
                reference.release()
                guard let own = try? IOQueue(configuration(name)) else { return false }
                return (try? own.blockingPerform(.nop)) == 0
                    && (try? own.blockingPerform(.sync(Descriptor(0), .full))) == nil
            }
            #expect(works)
            let kept = reference.takeRetainedValue()
            pipe.put([5])
            try kept.waitPatiently()
            #expect(kept.completions().map(\.result) == [1])
        }
    }

    @Test(.notSimulated(.process), arguments: names)
    func aRuntimeInAChildRefusesEverything(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            var runtimeConfiguration = IORuntime.Configuration()
            runtimeConfiguration.engine = .forced(try #require(EngineKind(name)))
            let runtime = try IORuntime(runtimeConfiguration)
            let file = try await File.open("/dev/null", .readWrite, runtime: runtime)
            let isRefused = inChild {
                let codes = InlineExecutor.run {
                    [
                        await asyncCode { try await runtime.perform(.nop) },
                        await asyncCode { try await runtime.sleep(until: .soon) },
                        await asyncCode { try await File.open("/dev/null", runtime: runtime) },
                        await asyncCode { try await file.read(upTo: 1, at: 0) },
                        await asyncCode { try await file.write([1], at: 0) },
                        await asyncCode { try await file.sync() },
                        await asyncCode { try await file.close() },
                    ]
                }
                // There is nothing to wait for in the child.
                runtime.blockingShutdown()
                return codes == [IOError.Code?](repeating: .forked, count: 7)
            }
            #expect(isRefused)
            #expect(try await runtime.perform(.nop) == 0)
            try await file.close()
            await runtime.shutdown()
        }
    }

    @Test(.notSimulated(.process), arguments: names)
    func theErrorSaysWhatToDo(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            let queue = try IOQueue(configuration(name))
            let hasAdvice = inChild {
                do throws(IOError) {
                    try queue.submit()
                    return false
                } catch {
                    return error.advice?.contains("after the fork") == true
                }
            }
            #expect(hasAdvice)
        }
    }
}

private func configuration(_ name: String) throws -> IOQueue.Configuration {
    var configuration = IOQueue.Configuration()
    configuration.engine = .forced(try #require(EngineKind(name)))
    return configuration
}

/// Runs `body` in a forked child. Returns true if it returned true there.
private func inChild(_ body: () -> Bool) -> Bool { exitStatusOfChild { body() ? 0 : 1 } == 0 }

private func code<R>(_ body: () throws -> R) -> IOError.Code? {
    do { _ = try body() } catch { return (error as? IOError)?.code }
    return nil
}

private func asyncCode<R>(_ body: () async throws -> R) async -> IOError.Code? {
    do { _ = try await body() } catch { return (error as? IOError)?.code }
    return nil
}

/// Runs a task to its end on the calling thread, the only one in a forked child.
private final class InlineExecutor: TaskExecutor, @unchecked Sendable {
    // @unchecked: there is only one thread.
    private var jobs: [UnownedJob] = []

    func enqueue(_ job: consuming ExecutorJob) { jobs.append(UnownedJob(job)) }

    static func run<R: Sendable>(_ body: @escaping @Sendable () async -> R) -> R? {
        let executor = InlineExecutor()
        let result = Result<R>()
        let task = Task(executorPreference: executor) {
            let value = await body()
            result.value.withLock { $0 = value }
        }
        while !executor.jobs.isEmpty {
            executor.jobs.removeFirst().runSynchronously(on: executor.asUnownedTaskExecutor())
        }
        withExtendedLifetime(task) {}
        return result.value.withLock { $0 }
    }

    private final class Result<Value: Sendable>: Sendable {
        let value = Locked<Value?>(nil)
    }
}
