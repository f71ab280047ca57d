import AIO
import AIOCore

/// This library's `await file.read`, by one engine: tasks on the runtime's loop, one operation each at a time.
final class Await: Contestant {
    let name: String
    private let engine: EngineKind
    private let plan: Plan
    private let taskCount: Int
    private let memory: BlockMemory
    private let calls = HeldThread()
    private var runtime: IORuntime?
    private var file: File?

    init(_ plan: Plan, _ engine: EngineKind, taskCount: Int) {
        name = "\(engine.name), await (\(taskCount) task\(taskCount == 1 ? "" : "s"))"
        self.engine = engine
        self.plan = plan
        self.taskCount = taskCount
        memory = BlockMemory(blockSize: plan.blockSize, count: taskCount)
    }

    func open(_ file: TestFile) async throws {
        var configuration = IORuntime.Configuration()
        configuration.engine = .forced(engine)
        configuration.queueDepth = min(max(taskCount, 2), EngineConfiguration.queueDepthMax)
        let calls = calls
        configuration.jobEnded = { calls.jobEnded() }
        let runtime = try IORuntime(configuration)
        self.runtime = runtime
        let opened = try await File.open(
            Path(file.path), file.isOurs ? .readWrite : .read, options: plan.isDirect ? [.direct] : [],
            runtime: runtime)
        file.advise(opened.descriptor.number)
        self.file = opened
    }

    func close() async {
        try? await file?.close()
        await runtime?.shutdown()
        file = nil
        runtime = nil
    }

    func run(_ turn: Turn, _ recorder: Recorder) async throws {
        guard let file, let loop = runtime?.loops.first else { return }
        calls.begin()
        try await withThrowingTaskGroup(of: Void.self) { [memory, calls, plan] tasks in
            for slot in 0..<taskCount {
                tasks.addTask(executorPreference: loop) {
                    let block = UnsafeMutableRawBufferPointer(start: memory[slot], count: plan.blockSize)
                    try await Await.work(turn, file, TaskBlock(bytes: block), calls)
                }
            }
            try await tasks.waitForAll()
        }
        recorder.add(calls.recorder)
    }

    /// One task's share of the turn.
    private static func work(_ turn: Turn, _ file: File, _ block: TaskBlock, _ calls: HeldThread) async throws {
        guard let base = block.bytes.baseAddress else { return }
        while let operation = turn.next(at: Kernel.now()) {
            turn.prepare(operation, base)
            let start = calls.began()
            var call = start
            var done = 0
            while true {
                let rest = UnsafeMutableRawBufferPointer(rebasing: block.bytes[done...])
                let count = try await transfer(operation, file, rest, at: Int64(operation.offset + done))
                let now = calls.returned(from: call)
                guard count > 0 else { throw operation.failure(0) }
                done += count
                if done == operation.count {
                    calls.recorder.operationCompleted(after: now &- start)
                    break
                }
                call = calls.began()
            }
            try turn.finish(operation, base)
        }
    }

    @inline(__always)
    private static func transfer(
        _ operation: BlockOperation, _ file: File, _ memory: UnsafeMutableRawBufferPointer, at offset: Int64
    ) async throws(IOError) -> Int {
        if operation.isWrite { return try await file.write(memory.bytes, at: offset) }
        var bytes = memory.mutableBytes
        return try await file.read(into: &bytes, at: offset)
    }
}

/// A block of memory that one task alone uses.
private struct TaskBlock: @unchecked Sendable {
    // @unchecked: each block is given to one task, and outlives it.
    let bytes: UnsafeMutableRawBufferPointer
}

/// Measures how long `await` holds the thread that runs the task: until the task is suspended, or, if it was not,
/// until the result is there.
final class HeldThread: @unchecked Sendable {
    // @unchecked: all of it is touched on the loop's thread alone while a turn runs, and by the turn's owner before
    // and after.

    private(set) var recorder = Recorder()
    /// The call that the job now running has begun and not ended. 0: none.
    private var openCall: Nanoseconds = 0

    func begin() {
        recorder = Recorder()
        openCall = 0
    }

    /// A task is about to await. Returns when.
    @inline(__always)
    func began() -> Nanoseconds {
        let now = Kernel.now()
        openCall = now
        return now
    }

    /// The job has ended: the call that it made last has suspended its task.
    func jobEnded() {
        guard openCall != 0 else { return }
        recorder.callReturned(after: Kernel.now() &- openCall)
        openCall = 0
    }

    /// The call that began at `start` has returned. Returns when.
    @inline(__always)
    func returned(from start: Nanoseconds) -> Nanoseconds {
        let now = Kernel.now()
        // Not suspended in between: the whole call held the thread.
        if openCall == start {
            recorder.callReturned(after: now &- start)
            openCall = 0
        }
        return now
    }
}
