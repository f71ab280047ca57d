import AIOCore
import Glibc

/// The transfer of a slot of the window.
struct SlotTransfer: BitwiseCopyable {
    var slot: Int
    var memory: UnsafeMutableRawPointer
    /// Bytes.
    var count: Int
    /// Bytes from the start of the file.
    var offset: Int
    var isWrite: Bool
}

/// An interface that accepts operations in one call and returns their results in another.
protocol SubmissionInterface: AnyObject {
    func stage(_ transfer: SlotTransfer) throws
    /// Submits everything that is staged, and records how long each call took.
    func submit(_ recorder: Recorder) throws
    /// Waits for at least one result, then passes on all available results: bytes or a negative errno.
    func collect(_ body: (_ slot: Int, _ result: Int) -> Void) throws
}

/// Keeps one operation per slot in flight: collects the completions, refills their slots, and submits the new
/// operations in one batch.
struct SlidingWindow<Interface: SubmissionInterface>: ~Copyable {
    private struct Slot {
        var operation: BlockOperation
        /// Taken just before the operation's batch is built.
        var start: Nanoseconds
        /// Bytes transferred so far, after a short transfer.
        var done: Int
    }

    private let interface: Interface
    private let memory: BlockMemory
    private let turn: Turn
    private let recorder: Recorder
    private let slots: UnsafeMutablePointer<Slot>
    private let depth: Int
    private var free: [Int]
    private var finished: [(slot: Int, result: Int)] = []

    init(_ interface: Interface, depth: Int, memory: BlockMemory, turn: Turn, recorder: Recorder) {
        self.interface = interface
        self.depth = depth
        self.memory = memory
        self.turn = turn
        self.recorder = recorder
        let idle = BlockOperation(block: 0, offset: 0, count: 0, isWrite: false, generation: 0)
        slots = .allocate(capacity: depth)
        slots.initialize(repeating: Slot(operation: idle, start: 0, done: 0), count: depth)
        free = Array((0..<depth).reversed())
        finished.reserveCapacity(depth)
    }

    deinit { slots.deallocate() }

    /// Runs the turn. When it throws, operations may still be in flight; the interface's owner waits for them.
    mutating func run() throws {
        while true {
            try refill()
            if free.count == depth { return }
            try interface.submit(recorder)
            finished.removeAll(keepingCapacity: true)
            try interface.collect { finished.append(($0, $1)) }
            let now = Kernel.now()
            for (slot, result) in finished { try complete(slot, result, at: now) }
        }
    }

    private mutating func refill() throws {
        let start = Kernel.now()
        while let slot = free.last, let operation = turn.next(at: start) {
            free.removeLast()
            turn.prepare(operation, memory[slot])
            slots[slot] = Slot(operation: operation, start: start, done: 0)
            try stage(slot)
        }
    }

    private func stage(_ slot: Int) throws {
        let operation = slots[slot].operation
        let done = slots[slot].done
        try interface.stage(
            SlotTransfer(
                slot: slot, memory: memory[slot] + done, count: operation.count - done,
                offset: operation.offset + done, isWrite: operation.isWrite))
    }

    private mutating func complete(_ slot: Int, _ result: Int, at now: Nanoseconds) throws {
        let operation = slots[slot].operation
        guard result > 0 else { throw operation.failure(result) }
        slots[slot].done += result
        if slots[slot].done < operation.count { return try stage(slot) }
        recorder.operationCompleted(after: now &- slots[slot].start)
        try turn.finish(operation, memory[slot])
        free.append(slot)
    }
}
