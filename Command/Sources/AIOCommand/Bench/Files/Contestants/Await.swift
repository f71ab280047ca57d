@_spi(AIOCommand) import AIO
import AIOCore

/// This library's `await file.read`, on one engine: tasks on the runtime's loop, each with one operation at a time.
final class Await: Contestant {
    let name: String
    private let engine: EngineKind
    private let plan: Plan
    private let taskCount: Int
    private let memory: BlockMemory
    private let calls = HeldThread()
    private var runtime: IORuntime?
    private var file: File?

    init(_ plan: Plan, _ memory: BlockMemory, _ engine: EngineKind, taskCount: Int) {
        name = "\(engine.name), await (\(taskCount) task\(taskCount == 1 ? "" : "s"))"
        self.engine = engine
        self.plan = plan
        self.taskCount = taskCount
        self.memory = memory
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

    /// Runs one task's share of the turn.
    private static func work(_ turn: Turn, _ file: File, _ block: TaskBlock, _ calls: HeldThread) async throws {
        guard let base = block.bytes.baseAddress else { return }
        while let operation = turn.next(at: Kernel.now()) {
            turn.prepare(operation, base)
            var done = 0
            var time: Nanoseconds = 0
            while done < operation.count {
                let rest = UnsafeMutableRawBufferPointer(rebasing: block.bytes[done...])
                let offset = Int64(operation.offset + done)
                let count: Int
                // The calls are not in a function of the bench: its cost would be measured too.
                if operation.isWrite {
                    let bytes = rest.bytes
                    let start = calls.began()
                    count = try await file.write(bytes, at: offset)
                    time &+= calls.returned(from: start)
                } else {
                    var bytes = rest.mutableBytes
                    let start = calls.began()
                    count = try await file.read(into: &bytes, at: offset)
                    time &+= calls.returned(from: start)
                }
                guard count > 0 else { throw operation.failure(0) }
                done += count
            }
            calls.recorder.operationCompleted(after: time)
            try turn.finish(operation, base)
        }
    }
}

/// A block of memory that only one task uses.
private struct TaskBlock: @unchecked Sendable {
    // @unchecked: each block is given to one task, and outlives it.
    let bytes: UnsafeMutableRawBufferPointer
}

/// Measures how long `await` holds the task's thread: until the task suspends, or until the result if it does not
/// suspend.
final class HeldThread: @unchecked Sendable {
    // @unchecked: only the loop's thread accesses it while a turn runs, and only the turn's owner before and after.

    private(set) var recorder = Recorder()
    /// When the current job began a call that has not returned; 0 if there is none. Behind a pointer, because the
    /// exclusivity checks of a property would be measured too.
    private let openCall: UnsafeMutablePointer<Nanoseconds>

    init() {
        openCall = .allocate(capacity: 1)
        openCall.initialize(to: 0)
    }

    deinit { openCall.deallocate() }

    func begin() {
        recorder = Recorder()
        openCall.pointee = 0
    }

    /// Marks that a task is about to await. Returns the time.
    @inline(__always)
    func began() -> Nanoseconds {
        let now = Kernel.now()
        openCall.pointee = now
        return now
    }

    /// Marks the end of a job: its last call has suspended the task.
    func jobEnded() {
        guard openCall.pointee != 0 else { return }
        recorder.callReturned(after: Kernel.now() &- openCall.pointee)
        openCall.pointee = 0
    }

    /// Marks the return of the call that began at `start`. Returns how long the call took.
    @inline(__always)
    func returned(from start: Nanoseconds) -> Nanoseconds {
        let time = Kernel.now() &- start
        // The task did not suspend: the whole call held the thread.
        if openCall.pointee == start {
            recorder.callReturned(after: time)
            openCall.pointee = 0
        }
        return time
    }
}
