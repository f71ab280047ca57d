import AIO
import AIOCore
import CKernel
import Glibc
import Testing

/// A loop as a task executor: its tasks run on its thread, interleaved with completions.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct ExecutorTests {
    @Test(.notSimulated(.threads), arguments: engines)
    func aTaskThatPrefersALoopRunsOnItsThreadBeforeAndAfterIO(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let descriptor = try openDescriptor(try scratch.file("task", [1, 2, 3]), O_RDWR)
            defer { closeDescriptor(descriptor) }
            try await withRuntime(engine) { runtime in
                let threads = try await Task(executorPreference: runtime.loops[0]) {
                    var threads = [currentThread()]
                    _ = try await runtime.perform(.sync(Descriptor(descriptor), .full))
                    threads.append(currentThread())
                    try await runtime.sleep(until: .soon)
                    threads.append(currentThread())
                    await Task.yield()
                    threads.append(currentThread())
                    return threads
                }.value
                #expect(Set(threads).count == 1)
                #expect(threads[0] != currentThread())
            }
        }
    }

    @Test(.notSimulated(.threads), arguments: engines)
    func everyLoopHasAThreadOfItsOwn(_ engine: EngineKind) async throws {
        try await withRuntime(engine, { $0.loops = 3 }) { runtime in
            var threads: Set<UInt> = []
            for loop in runtime.loops {
                threads.insert(await Task(executorPreference: loop) { currentThread() }.value)
            }
            #expect(threads.count == 3)
        }
    }

    /// Operations without a descriptor have no preferred loop.
    @Test(.notSimulated(.threads), arguments: engines)
    func whatIsOnNoDescriptorIsSpreadOverTheLoops(_ engine: EngineKind) async throws {
        try await withRuntime(engine, { $0.loops = 3 }) { runtime in
            let works = (0..<3).map { _ in PatientWork() }
            let tasks = works.map { work in Task { try await work.perform(runtime) } }
            try await eventually { runtime.loops.allSatisfy { $0.inFlightCount == 1 } }
            for task in tasks {
                task.cancel()
                await expectError(.cancelled) { try await task.value }
            }
        }
    }

    @Test(.notSimulated(.threads), arguments: engines)
    func childTasksStayOnTheLoop(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            let threads = try await Task(executorPreference: runtime.loops[0]) {
                try await withThrowingTaskGroup(of: UInt.self) { group in
                    for _ in 0..<50 {
                        group.addTask {
                            _ = try await runtime.perform(.nop)
                            return currentThread()
                        }
                    }
                    return try await group.reduce(into: [currentThread()]) { $0.append($1) }
                }
            }.value
            #expect(threads.count == 51)
            #expect(Set(threads).count == 1)
        }
    }

    /// Reads that the page cache serves do not suspend; other tasks on the loop must run nevertheless.
    @Test(arguments: engines)
    func aLongRunOfCacheHitsStarvesNobody(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("hits", [UInt8](repeating: 1, count: 4096)))
            try await withRuntime(engine) { runtime in
                let loop = runtime.loops[0]
                try await withFile(path, runtime: runtime) { file in
                    let isOver = Flag()
                    // Reads until the other task has run on the same thread.
                    let reader = Task(executorPreference: loop) {
                        var reads = 0
                        while !isOver.isSet {
                            let bytes = try await file.read(upTo: 16, at: 0)
                            #expect(bytes.count == 16)
                            reads += 1
                        }
                        return reads
                    }
                    let other = Task(executorPreference: loop) {
                        _ = try await runtime.perform(.nop)
                        isOver.set()
                    }
                    try await other.value
                    _ = try await reader.value
                }
            }
        }
    }

    /// An endless supply of jobs does not starve completions.
    @Test(arguments: engines)
    func tasksThatYieldForEverDoNotStarveCompletions(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            try await Ends.with { ends in
                let loop = runtime.loops[0]
                let isOver = Flag()
                let busy = (0..<3).map { _ in
                    Task(executorPreference: loop) {
                        while !isOver.isSet { await Task.yield() }
                    }
                }
                let reading = ends.reading
                for byte in UInt8(0)..<20 {
                    let read = Task {
                        let memory = Memory(count: 1)
                        _ = try await runtime.perform(.read(memory.transfer(reading)))
                        return memory.bytes
                    }
                    ends.put([byte])
                    #expect(try await read.value == [byte])
                }
                // Nor does it starve timers.
                let end = Deadline.soon
                try await runtime.sleep(until: end)
                #expect(.now >= end)
                isOver.set()
                for task in busy { await task.value }
            }
        }
    }

    @Test(arguments: engines)
    func moreTasksThanPlacesAllComeToTheirEnd(_ engine: EngineKind) async throws {
        try await withRuntime(engine, { $0.queueDepth = 4 }) { runtime in
            let loop = runtime.loops[0]
            let sum = Counter()
            await withTaskGroup(of: Void.self) { group in
                for index in 0..<400 {
                    group.addTask(executorPreference: index % 2 == 0 ? loop : nil) {
                        if (try? await runtime.perform(.nop)) == 0 { sum.increment() }
                    }
                }
            }
            #expect(sum.count == 400)
        }
    }

    @Test(.notSimulated(.threads), arguments: engines)
    func manyThreadsEnqueueAtOnce(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            let loop = runtime.loops[0]
            let thread = await Task(executorPreference: loop) { currentThread() }.value
            let threads = await withTaskGroup(of: UInt.self) { group in
                for _ in 0..<2000 { group.addTask(executorPreference: loop) { currentThread() } }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(threads.count == 2000)
            #expect(Set(threads) == [thread])
        }
    }
}

/// The calling thread. It is a synchronous function, since a task may change threads at a suspension.
func currentThread() -> UInt { UInt(pthread_self()) }
