import AIO
import AIOCore

/// This library's `IOQueue`: one for both parties, or one for each.
struct QueuePipes: PipeContestant {
    let engine: EngineKind
    let queueCount: Int

    var name: String { "\(engine.name), IOQueue, \(queueCount) loop\(queueCount == 1 ? "" : "s")" }
    let isNonBlocking = false

    func run(_ turn: PipeTurn) throws -> Recorder.Times {
        queueCount == 1 ? try runTogether(turn) : try runApart(turn)
    }

    private func makeQueue() throws -> IOQueue {
        var configuration = IOQueue.Configuration()
        configuration.engine = .forced(engine)
        configuration.queueDepth = 16
        return try IOQueue(configuration)
    }

    private func runApart(_ turn: PipeTurn) throws -> Recorder.Times {
        let pipes = turn.pipes
        return try OtherParty.run {
            let buffer = turn.makeBuffer()
            let party = QueueParty(
                try makeQueue(), receives: pipes.there.reading, sends: pipes.back.writing, turn.size)
            try party.receive(buffer[0])
            while try party.waitForMessage() {
                // The receive follows the send, since both use one buffer.
                try party.send(buffer[0])
                try party.waitUntilSent()
                try party.receive(buffer[0])
            }
        } _: {
            defer { pipes.endThere() }
            let party = QueueParty(
                try makeQueue(), receives: pipes.back.reading, sends: pipes.there.writing, turn.size)
            return try turn.measure { message, buffer in
                try party.send(message)
                try party.receive(buffer)
                guard try party.waitForMessage() else { throw Failure("the other party has ended") }
            }
        }
    }

    private func runTogether(_ turn: PipeTurn) throws -> Recorder.Times {
        let pipes = turn.pipes
        let queue = try makeQueue()
        let first = QueueParty(queue, receives: pipes.back.reading, sends: pipes.there.writing, turn.size)
        let other = QueueParty(queue, receives: pipes.there.reading, sends: pipes.back.writing, turn.size)
        first.other = other
        other.other = first
        let otherBuffer = turn.makeBuffer()
        return try turn.measure { message, buffer in
            try first.send(message)
            try other.receive(otherBuffer[0])
            try first.receive(buffer)
            guard try other.waitForMessage() else { throw Failure("the pipe was closed") }
            try other.send(otherBuffer[0])
            guard try first.waitForMessage() else { throw Failure("the pipe was closed") }
        }
    }
}

/// One party's operations on a queue.
private final class QueueParty {
    private let queue: IOQueue
    private let receiving: Descriptor
    private let sending: Descriptor
    private let size: Int
    /// Bytes of the message received so far; negative after the end of the pipe.
    private var received = 0
    private var buffer: UnsafeMutableRawPointer?
    private var isSending = false
    private var failure: Failure?
    /// The other party on the same queue. Unowned on both sides: `runTogether` keeps both alive.
    unowned(unsafe) var other: QueueParty?

    /// What a completion is for, in the lowest bit of its context.
    private enum Purpose { static let receive: UInt = 0, send: UInt = 1 }

    init(_ queue: IOQueue, receives reading: Int32, sends writing: Int32, _ size: Int) {
        self.queue = queue
        receiving = Descriptor(reading, kind: .stream)
        sending = Descriptor(writing, kind: .stream)
        self.size = size
    }

    /// The address of this object, with the purpose in the lowest bit.
    private func context(_ purpose: UInt) -> UInt {
        UInt(bitPattern: Unmanaged.passUnretained(self).toOpaque()) | purpose
    }

    func send(_ message: UnsafeMutableRawPointer) throws {
        isSending = true
        let transfer = Transfer(sending, message, count: size, offset: Transfer.currentPosition)
        try queue.prepare(.write(transfer), context: context(Purpose.send))
    }

    func receive(_ buffer: UnsafeMutableRawPointer) throws {
        self.buffer = buffer
        received = 0
        try prepareReceive()
    }

    private func prepareReceive() throws {
        let transfer = Transfer(
            receiving, buffer.map { $0 + received }, count: size - received, offset: Transfer.currentPosition)
        try queue.prepare(.read(transfer), context: context(Purpose.receive))
    }

    /// Returns false at the end of the pipe.
    func waitForMessage() throws -> Bool {
        while received >= 0, received < size { try wait() }
        return received >= 0
    }

    func waitUntilSent() throws { while isSending { try wait() } }

    private func wait() throws {
        try queue.wait(atLeast: 1)
        queue.drain { completion, context in
            guard let address = UnsafeRawPointer(bitPattern: context & ~1) else { return }
            let party = Unmanaged<QueueParty>.fromOpaque(address).takeUnretainedValue()
            party.complete(Int(completion.result), context & 1)
        }
        try Interruption.check()
        if let failure = failure ?? other?.failure { throw failure }
    }

    private func complete(_ result: Int, _ purpose: UInt) {
        guard result >= 0 else {
            failure = Failure(purpose == Purpose.send ? "write to a pipe" : "read from a pipe", result: result)
            return
        }
        if purpose == Purpose.send {
            isSending = false
            // A pipe with enough room accepts a whole message.
            if result < size { failure = Failure("a write to a pipe was short") }
        } else if result == 0 {
            received = -1
        } else {
            received += result
            if received < size {
                do { try prepareReceive() } catch { failure = error as? Failure ?? Failure("\(error)") }
            }
        }
    }
}
