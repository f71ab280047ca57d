import AIOCore

/// One place of the queue as the model sees it.
struct SimulatedOperation {
    enum Phase: UInt8 {
        case free
        /// Prepared, and not staged.
        case prepared
        /// The queue is about to give it to the engine, in the form `form`.
        case awaitingStage
        /// The queue is about to attempt it by a system call.
        case attempting
        case held
        case withEngine
        /// With nobody, until `pauseEnd`.
        case pausing
        case timer
        /// A completion that is not the last can be drained.
        case more
        /// The last completion can be drained.
        case final
    }

    /// What the engine has of it.
    enum Form: UInt8 {
        case own
        /// The operation for a worker.
        case worker
        /// A poll for readiness to read, or to write.
        case pollIn
        case pollOut
    }

    /// A completion that the caller must get.
    struct Expected {
        var result: Int32 = 0
        var flags: CompletionFlags = []
    }

    var phase = Phase.free
    var kind = Kind.nop
    var form = Form.own
    var facts: Kind.Facts = []
    /// The context, which no other operation has.
    var id: UInt = 0
    var token = Token(rawValue: 0)
    var descriptor: Int32 = -1
    var otherDescriptor: Int32 = -1
    var isRegistered = false
    /// EAGAIN is final.
    var isWithoutWaiting = false
    var deadline = Nanoseconds.never
    var isCancelAsked = false
    var isDeadlinePassed = false
    /// Whether an ESPIPE has made it a transfer without an offset, and so on.
    var hasOffset = false
    var isThroughPageCache = false
    var dropsAppendFlags = false
    var isZeroCopy = false
    /// The bytes to write, and those written.
    var total = 0
    var progress = 0
    var events: UInt32 = 0
    var due = Nanoseconds.never
    var interval: Nanoseconds = 0
    var pauseEnd = Nanoseconds.never
    /// The group of a receive, and its buffer while the engine or the caller has it.
    var group: UInt16 = 0
    var buffer: Int32 = -1
    /// The queue's changes of threads when it was staged.
    var epoch: UInt32 = 0
    /// The memory that belongs to it.
    var block: Int32 = -1
    /// The target of a cancel.
    var target = Token(rawValue: 0)
    /// The memory of a group to register.
    var region: Int32 = -1
    var bufferCount = 0
    /// The flags of the completion after which it is attempted.
    var attemptFlags: CompletionFlags = []

    // The engine's part.
    var engineOperation = Operation.nop
    var isEntered = false
    var isCancelAskedOfEngine = false
    /// Its submitter went away.
    var isDropped = false
    var isInRing = false
    /// Whether a completion is on its way to the queue.
    var isCompleted = false
    var activeIndex: Int32 = -1

    /// The expected completions, at most two: a repeating operation may have begun its next step in the same drain.
    var first = Expected()
    var second = Expected()
    var expectedCount = 0
    /// The engine got its next step while the completion before it was being drained.
    var hasGoneOn = false

    @inline(__always)
    func has(_ fact: Kind.Facts) -> Bool { !facts.isDisjoint(with: fact) }

    @inline(__always)
    var isStaged: Bool { phase != .free && phase != .prepared }
}
