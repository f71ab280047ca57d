import AIO
import AIOCore

/// This library's `StreamReader` and `StreamWriter`: one task for each party, on one loop or on two.
struct AwaitPipes: PipeContestant {
    let engine: EngineKind
    let loopCount: Int

    var name: String { "\(engine.name), await, \(loopCount) loop\(loopCount == 1 ? "" : "s")" }
    let isNonBlocking = false

    func run(_ turn: PipeTurn) throws -> Recorder.Times {
        var configuration = IORuntime.Configuration()
        configuration.engine = .forced(engine)
        configuration.loops = loopCount
        configuration.queueDepth = 16
        let runtime = try IORuntime(configuration)
        defer { runtime.blockingShutdown() }
        let other = loopCount == 1 ? runtime.loops[0] : runtime.loops[1]
        return try BlockingTask.run(on: runtime.loops[0]) {
            let echo = Task.detached(executorPreference: other) { try await Self.echo(turn, runtime) }
            do {
                let times = try await Self.measure(turn, runtime)
                try await echo.value
                return times
            } catch {
                try await echo.value
                throw error
            }
        }
    }

    /// The reader and the writer own and close their descriptors, so they get duplicates.
    private static func duplicate(_ number: Int32) throws -> Int32 {
        let result = Kernel.duplicate(number)
        guard result >= 0 else { throw Failure("dup", result: result) }
        return Int32(result)
    }

    private static func echo(_ turn: PipeTurn, _ runtime: IORuntime) async throws {
        let reader = StreamReader(adopting: try duplicate(turn.pipes.there.reading), runtime: runtime)
        let writer = StreamWriter(adopting: try duplicate(turn.pipes.back.writing), runtime: runtime)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: turn.size, alignment: 64)
        defer { buffer.deallocate() }
        while true {
            var bytes = buffer.mutableBytes
            let count = try await reader.read(into: &bytes)
            guard count > 0 else { break }
            try await writer.writeAll(buffer.bytes.extracting(first: count))
        }
        try await reader.close()
        try await writer.close()
    }

    private static func measure(_ turn: PipeTurn, _ runtime: IORuntime) async throws -> Recorder.Times {
        let reader = StreamReader(adopting: try duplicate(turn.pipes.back.reading), runtime: runtime)
        let writer = StreamWriter(adopting: try duplicate(turn.pipes.there.writing), runtime: runtime)
        turn.pipes.endThere()
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: turn.size, alignment: 64)
        defer { buffer.deallocate() }
        var times = Recorder.Times()
        var sequence = 0
        var start = Kernel.now()
        while start < turn.deadline, !Interruption.isRequested {
            let message = UnsafeRawBufferPointer(start: turn.messages[sequence], count: turn.size)
            try await writer.writeAll(message.bytes)
            var bytes = buffer.mutableBytes
            try await reader.readExactly(into: &bytes)
            let end = Kernel.now()
            times.record(end &- start)
            if let base = buffer.baseAddress { try turn.messages.check(base, sequence) }
            sequence += 1
            start = end
        }
        try await writer.close()
        try await reader.close()
        return times
    }
}
