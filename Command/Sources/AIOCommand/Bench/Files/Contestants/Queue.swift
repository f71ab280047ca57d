import AIO
import AIOCore
import CKernel

/// This library's `IOQueue`, on one engine.
final class Queue: Contestant, SubmissionInterface {
    let name: String
    private let engine: EngineKind
    private let isDirect: Bool
    private let depth: Int
    private let memory: BlockMemory
    private var file: OpenDescriptor?
    private var target = Descriptor(-1)
    private var queue: IOQueue?

    init(_ plan: Plan, _ memory: BlockMemory, _ engine: EngineKind) {
        name = "\(engine.name), IOQueue"
        self.engine = engine
        isDirect = plan.isDirect
        depth = plan.depth
        self.memory = memory
    }

    func open(_ file: TestFile) throws {
        let descriptor = try file.reopen(direct: isDirect)
        target = .classify(descriptor.number)
        self.file = consume descriptor
        var configuration = IOQueue.Configuration()
        configuration.engine = .forced(engine)
        configuration.queueDepth = depth
        queue = try IOQueue(configuration)
    }

    func close() {
        if let queue {
            // The operations in flight use memory that must stay allocated until they complete.
            while queue.inFlightCount > 0, (try? queue.wait()) != nil { queue.drain { _, _ in } }
        }
        queue = nil
        file = nil
    }

    func run(_ turn: Turn, _ recorder: Recorder) throws {
        var window = SlidingWindow(self, depth: depth, memory: memory, turn: turn, recorder: recorder)
        try window.run()
    }

    func stage(_ transfer: SlotTransfer) throws {
        guard let queue else { return }
        let bytes = Transfer(target, transfer.memory, count: transfer.count, offset: Int64(transfer.offset))
        _ = try queue.prepare(transfer.isWrite ? .write(bytes) : .read(bytes), context: UInt(transfer.slot))
    }

    func submit(_ recorder: Recorder) throws {
        guard let queue else { return }
        let start = Kernel.now()
        try queue.submit()
        recorder.callReturned(after: Kernel.now() &- start)
    }

    func collect(_ body: (_ slot: Int, _ result: Int) -> Void) throws {
        guard let queue else { return }
        try queue.wait(atLeast: 1)
        queue.drain { completion, context in body(Int(context), Int(completion.result)) }
    }
}
