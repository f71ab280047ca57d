import AIOCore
import CKernel

/// One run: a queue over a simulated engine, a virtual clock, a caller that does anything that it may, and a model that
/// says after each step what must hold. All of it happens on one thread, and follows from the seed alone.
final class Simulation: SimulatedWorld {
    typealias Place = UnsafeMutablePointer<SimulatedOperation>

    var random: StepRandom
    /// The first thing that did not hold.
    var failure: String?

    // MARK: The queue

    let configuration: EngineConfiguration
    let kind: EngineKind
    let queue: UnsafeMutablePointer<EngineQueue>
    let places: Place
    let placeCount: Int
    let queueDepth: Int
    let waitingLimit: Int

    // MARK: The world

    var threadID: Int32 = 1000
    var memory: SimulatedMemory
    var descriptors = SimulatedDescriptors()
    /// The operations that the engine has and has not completed, in no order.
    var active: [UInt32] = []
    /// Completions on their way from the engine to the queue.
    var completions = CompletionLine()
    var isWoken = false
    /// `wake` was called, and no sleep has ended since.
    var owesWake = false
    var isEngineExported = false
    var engineDescriptor: Int32 = 50
    var engineIsGone = false
    var lostErrno: Int32 = 0
    var expectedRegistration = (count: 0, call: 0, result: 0)
    /// The end: whatever runs completes, and with success.
    var isQuiet = false
    /// How willing the engine is to complete something, in 16ths.
    let eagerness: Int
    /// Attempts by system call that the queue has to make, and the one that is under way.
    var attempting: Int32 = -1

    // MARK: The model

    var call = QueueCall()
    var pace: ModelPace
    var groups = ModelBufferGroups()
    var nextID: UInt = 1
    var preparedSlots: [UInt32] = []
    var staleTokens: [Token] = []
    var usedPlaces = 0
    var usedWaitingPlaces = 0
    var inFlight = 0
    var readyCount = 0
    var hasNotedThread: Int32 = 0
    var epoch: UInt32 = 0
    var hasNotedLoss = false
    /// Whether the submission of the engine is up to date; otherwise operations were staged since.
    var unenteredCount = 0
    var stagedByCallerCount = 0
    var isExported = false
    var isExporting = false
    /// Descriptors that completions carried, and those of them that reached the caller or were closed.
    var descriptorsMade = 0
    var descriptorsEnded = 0
    /// How often each interesting thing has happened.
    var coverage = Coverage()

    init(seed: UInt64, tellsStory: Bool = false) {
        var random = StepRandom(seed: seed, step: -1)
        let kind = EngineKind.allCases[random.below(EngineKind.allCases.count)]
        var configuration = EngineConfiguration(
            queueDepth: 1 + random.below(10), workerLimit: 4, hasDedicatedThread: random.isOne(in: 3))
        if random.isOne(in: 2) { configuration.waitingLimit = 1 + random.below(8) }
        self.kind = kind
        self.configuration = configuration
        queueDepth = configuration.queueDepth
        waitingLimit = configuration.waitingLimit
        placeCount = queueDepth + waitingLimit
        places = .allocate(capacity: placeCount)
        places.initialize(repeating: SimulatedOperation(), count: placeCount)
        memory = SimulatedMemory(blockCount: placeCount + 1)
        pace = ModelPace(capacity: queueDepth)
        eagerness = 1 + random.below(15)
        queue = .allocate(capacity: 1)
        self.random = random
        super.init(seed: seed)
        now = self.random.isOne(in: 8) ? 1 : 1_000_000 + self.random.nanoseconds(below: 1 << 40)
        if tellsStory { story = Story() }
        active.reserveCapacity(placeCount)
        queue.initialize(to: EngineQueue(SimulatedEngine(self), as: kind, configuration))
        tell("\(kind.name), depth \(queueDepth), \(waitingLimit) waits, dedicated \(configuration.hasDedicatedThread)")
    }

    deinit {
        places.deallocate()
        queue.deallocate()
        memory.free()
        completions.free()
        pace.free()
    }

    override func answer(_ call: SystemCall) -> Int? { answered(call) }

    @inline(__always)
    func place(of token: Token) -> Place { places + Int(token.rawValue & 0xffff_ffff) }

    @inline(__always)
    func slot(of place: Place) -> UInt32 { UInt32(place - places) }

    func fail(_ reason: @autoclosure () -> String) {
        guard failure == nil else { return }
        failure = "step \(step): " + reason()
        tell("FAILED: " + (failure ?? ""))
    }

    @inline(__always)
    func check(_ holds: Bool, _ reason: @autoclosure () -> String) {
        if !holds { fail(reason()) }
    }
}

/// What the queue has been asked to do, as far as the engine's part of the model needs it.
struct QueueCall {
    enum Kind: UInt8 { case none, submit, turn, turnUntil, wait, drain, other }
    var kind = Kind.none
    var deadline = Nanoseconds.never
    /// How often `enter` was called, and how often with a count.
    var entries = 0
    var sleeps = 0
    /// Held operations that were staged since the last `enter`.
    var admitted = 0
    var hadReady = false
    /// Whether the first entry is still to come, and comes before the queue collects.
    var isBeforeCollecting = true
}

/// Completions in the order in which they happened.
struct CompletionLine {
    private let items: UnsafeMutablePointer<Completion>
    private var head = 0
    private var tail = 0
    private static var mask: Int { 127 }

    init() { items = .allocate(capacity: Self.mask + 1) }
    func free() { items.deallocate() }

    var count: Int { tail - head }
    var isEmpty: Bool { head == tail }

    mutating func append(_ completion: Completion) {
        precondition(count <= Self.mask)
        (items + (tail & Self.mask)).initialize(to: completion)
        tail += 1
    }

    mutating func popFirst() -> Completion? {
        guard head != tail else { return nil }
        defer { head += 1 }
        return items[head & Self.mask]
    }
}
