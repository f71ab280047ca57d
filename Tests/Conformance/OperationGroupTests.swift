import AIO
import AIOCore
import CKernel
import Glibc
import Testing
import UnitSupport

/// Operations without tasks, with a descriptor for one or several of them.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct OperationGroupTests {
    @Test(arguments: engines)
    func aCompletionMakesTheDescriptorReadable(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            try await Ends.with { ends in
                let group = try OperationGroup(limit: 1, runtime: runtime)
                #expect(!isReadable(group.pollableDescriptor, withinMs: 0))
                let memory = Memory(count: 1)
                for round in UInt8(0)..<5 {
                    try group.start(.read(memory.transfer(ends.reading)), context: UInt(round))
                    #expect(group.inFlightCount == 1)
                    #expect(!isReadable(group.pollableDescriptor, withinMs: 0))
                    ends.put([round])
                    #expect(isReadable(group.pollableDescriptor))
                    var drained: [(Int32, UInt)] = []
                    #expect(group.drain { drained.append(($0.result, $1)) } == 1)
                    #expect(drained.map(\.0) == [1] && drained.map(\.1) == [UInt(round)])
                    #expect(memory.bytes == [round] && group.inFlightCount == 0)
                    #expect(!isReadable(group.pollableDescriptor, withinMs: 0))
                }
            }
        }
    }

    @Test(arguments: engines)
    func eachCompletionAddsOneToAnEventOfTheCallers(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            let event = try eventDescriptor(CK_EFD_NONBLOCK)
            defer { closeDescriptor(event) }
            let groups = try (0..<2).map { _ in try OperationGroup(limit: 8, event: event, runtime: runtime) }
            for group in groups { for context in 0..<3 { try group.start(.nop, context: UInt(context)) } }
            try await eventually { runtime.inFlightCount == 0 }
            #expect(isReadable(event))
            var count: UInt64 = 0
            try await eventually {
                var added: UInt64 = 0
                if Glibc.read(event, &added, 8) == 8 { count += added }
                return count == 6
            }
            for group in groups {
                var contexts: Set<UInt> = []
                try await eventually {
                    group.drain { _, context in contexts.insert(context) }
                    return contexts.count == 3
                }
            }
            #expect(isOpen(event))
        }
    }

    /// Completions are written to it, so that another file would be corrupted.
    @Test(arguments: engines)
    func onlyAnOpenEventIsAccepted(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            try await withRuntime(engine) { runtime in
                let pipe = try Ends(.pipe, false)
                let file = try openDescriptor(scratch.file("file"), O_RDWR)
                let timer = Int32(Kernel.timerDescriptor())
                for other in [pipe.reading, pipe.writing, file, timer] {
                    await expectError(.invalidArgument) { try OperationGroup(event: other, runtime: runtime).limit }
                    closeDescriptor(other)
                }
                #expect(try scratch.content("file") == [])
                for closed in [-1, .min, .max] as [Int32] {
                    let error = await expectError(.badDescriptor) {
                        try OperationGroup(event: closed, runtime: runtime).limit
                    }
                    #expect(error?.errno?.rawValue == EBADF)
                }
            }
        }
    }

    /// The number may belong to another file by the time of a completion, which would corrupt it.
    @Test(arguments: engines)
    func anEventThatItsOwnerClosesEarlyIsNotMistakenForAnotherFile(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = try scratch.file("file")
            try await withRuntime(engine) { runtime in
                try await Ends.with { ends in
                    let event = try eventDescriptor(CK_EFD_NONBLOCK)
                    defer { closeDescriptor(event) }
                    let group = try OperationGroup(limit: 2, event: event, runtime: runtime)
                    try group.start(.poll(Descriptor(ends.reading), events: CK_POLLIN))
                    let file = try openDescriptor(path, O_RDWR)
                    defer { closeDescriptor(file) }
                    // Closes the event and gives its number to the file, with no moment in between.
                    try #require(dup2(file, event) == event)
                    ends.put([1])
                    #expect(isReadable(group.pollableDescriptor))
                    try await eventually { group.drain { _, _ in } == 1 }
                    // The loop has signalled the first completion before it begins another operation.
                    try group.start(.nop)
                    try await eventually { group.drain { _, _ in } == 1 }
                }
            }
            #expect(try scratch.content("file") == [])
        }
    }

    @Test(arguments: engines)
    func thereAreNoMoreThanTheLimitAndADrainMakesRoom(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            let group = try OperationGroup(limit: 3, runtime: runtime)
            for _ in 0..<100 {
                for context in 0..<3 { try group.start(.nop, context: UInt(context)) }
                await expectError(.limitReached) { try group.start(.nop) }
                var contexts: [UInt] = []
                while contexts.count < 3 {
                    #expect(isReadable(group.pollableDescriptor))
                    group.drain { _, context in contexts.append(context) }
                }
                #expect(contexts.sorted() == [0, 1, 2])
            }
            for limit in [0, -1, 65537] {
                await expectError(.invalidArgument) { try OperationGroup(limit: limit, runtime: runtime) }
            }
            await expectError(.invalidArgument) {
                try group.start(.repeatingTimeout(first: 1, interval: 1))
            }
        }
    }

    @Test(arguments: engines)
    func cancelsGoByContextAndDeadlinesPass(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            try await Ends.with { ends in
                let group = try OperationGroup(runtime: runtime)
                let memory = Memory(count: 1)
                let read = AIOCore.Operation.read(memory.transfer(ends.reading))
                try group.start(.poll(Descriptor(ends.reading), events: CK_POLLIN), context: 1)
                try group.start(.timeout(deadline: monotonicNow() + 3_600_000_000_000), context: 2)
                try group.start(read, context: 3, deadline: .soon)
                #expect(group.requestCancel(context: 1) == 1)
                #expect(group.requestCancel(context: 7) == 0)
                let first = try await drained(group, 2)
                #expect(first[1]?.result == -ECANCELED && first[1]?.flags.contains(.deadlinePassed) == false)
                #expect(first[3]?.result == -ECANCELED && first[3]?.flags.contains(.deadlinePassed) == true)
                #expect(group.requestCancelAll() == 1)
                #expect(try await drained(group, 1)[2]?.result == -ECANCELED)
            }
        }
    }

    /// Several threads submit, another one drains.
    @Test(.notSimulated(.threads), arguments: engines)
    func submissionsOfManyThreadsAllComeBackOnce(_ engine: EngineKind) async throws {
        try await withRuntime(engine, { $0.queueDepth = 256 }) { runtime in
            let group = try OperationGroup(limit: 200, runtime: runtime)
            let threads = (0..<4).map { thread in
                TestThread {
                    for round in 0..<500 {
                        while (try? group.start(.nop, context: UInt(thread * 500 + round))) == nil { sched_yield() }
                    }
                }
            }
            var counts = [Int](repeating: 0, count: 2000)
            var total = 0
            while total < 2000 {
                try #require(isReadable(group.pollableDescriptor))
                total += group.drain { completion, context in
                    #expect(completion.result == 0)
                    counts[Int(context)] += 1
                }
            }
            for thread in threads { thread.join() }
            #expect(counts.allSatisfy { $0 == 1 })
            #expect(group.inFlightCount == 0)
        }
    }

    @Test(arguments: engines)
    func aDroppedGroupEndsWhatIsInFlightAndSaysSo(_ engine: EngineKind) async throws {
        let lines = LogLines()
        try await withRuntime(engine, { $0.log = { lines.append($0) } }) { runtime in
            try await Ends.with { ends in
                var group: OperationGroup? = try OperationGroup(runtime: runtime)
                try group?.start(.poll(Descriptor(ends.reading), events: CK_POLLIN))
                try await eventually { runtime.inFlightCount == 1 }
                group = nil
                try await eventually { runtime.inFlightCount == 0 }
                let text = "an operation group was dropped with 1 operation in flight"
                #expect(lines.all == [text])
            }
        }
    }

    @Test(.notSimulated(.process), arguments: engines.map(\.description))
    func whatNobodyDrainsLeavesNoDescriptor(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            try await withRuntime(try #require(EngineKind(name))) { runtime in
                let event = try eventDescriptor(CK_EFD_NONBLOCK)
                let before = openDescriptors()
                for round in 0..<20 {
                    let group = try OperationGroup(event: round % 2 == 0 ? nil : event, runtime: runtime)
                    let type = CK_SOCK_STREAM | CK_SOCK_CLOEXEC
                    try group.start(.socket(.create(domain: CK_AF_UNIX, type: type, protocol: 0)))
                    #expect(isReadable(group.pollableDescriptor))
                    var count: UInt64 = 0
                    if round % 2 == 1 { #expect(Glibc.read(event, &count, 8) == 8) }
                }
                try await eventually { openDescriptors() == before }
                closeDescriptor(event)
            }
        }
    }

    @Test(arguments: engines)
    func nothingIsAcceptedAfterAShutdown(_ engine: EngineKind) async throws {
        var configuration = IORuntime.Configuration()
        configuration.engine = .forced(engine)
        let runtime = try IORuntime(configuration)
        let group = try OperationGroup(runtime: runtime)
        try group.start(.nop, context: 5)
        await runtime.shutdown()
        await expectError(.runtimeShutDown) { try group.start(.nop) }
        #expect(group.inFlightCount == 1)
        var contexts: [UInt] = []
        #expect(group.drain { contexts.append($1) } == 1)
        #expect(contexts == [5])
    }
}

func isReadable(_ descriptor: Int32, withinMs timeoutMs: Int32 = 30_000) -> Bool {
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return Glibc.poll(&entry, 1, timeoutMs) == 1
}

/// Drains `count` completions, by context.
private func drained(_ group: OperationGroup, _ count: Int) async throws -> [UInt: Completion] {
    var completions: [UInt: Completion] = [:]
    try await eventually {
        group.drain { completions[$1] = $0 }
        return completions.count == count
    }
    return completions
}
