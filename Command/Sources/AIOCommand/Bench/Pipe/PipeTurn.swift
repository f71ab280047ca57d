import AIOCore

/// One turn over a pair of pipes, from the perspective of the party that sends first.
struct PipeTurn: Sendable {
    let pipes: PipePair
    let messages: PipeMessages
    /// On the monotonic clock.
    let deadline: Nanoseconds

    var size: Int { messages.size }

    /// Memory for one party's message.
    func makeBuffer() -> BlockMemory { BlockMemory(blockSize: size, count: 1) }

    /// Makes round trips until the turn is over. `exchange` sends from its first argument and receives into its second.
    @inline(__always)
    func measure(_ exchange: (UnsafeMutableRawPointer, UnsafeMutableRawPointer) throws -> Void) throws -> Recorder.Times
    {
        let buffer = makeBuffer()
        var times = Recorder.Times()
        var sequence = 0
        var start = Kernel.now()
        while start < deadline, !Interruption.isRequested {
            try exchange(messages[sequence], buffer[0])
            let end = Kernel.now()
            times.record(end &- start)
            try messages.check(buffer[0], sequence)
            sequence += 1
            start = end
        }
        return times
    }
}

/// A way of passing messages over pipes.
protocol PipeContestant {
    var name: String { get }
    /// Whether the pipes have O_NONBLOCK.
    var isNonBlocking: Bool { get }

    /// Runs both parties until the turn is over and the other party has ended.
    func run(_ turn: PipeTurn) throws -> Recorder.Times
}

/// The second party, in a separate thread.
enum OtherParty {
    /// Runs `other` in a thread next to `first`, and waits for both. `first` must make `other` end.
    static func run<Value>(_ other: @escaping @Sendable () throws -> Void, _ first: () throws -> Value) throws -> Value
    {
        let thread = PartyThread(other)
        let result = Result { try first() }
        let failure = thread.join()
        // An error of `other` usually causes the error of `first`.
        if let failure { throw failure }
        return try result.get()
    }
}
