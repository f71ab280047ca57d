public import AIOCore
internal import CDropIns
internal import CKernel
internal import Synchronization

/// The operations that a program can request of a drop-in library.
public enum OperationKind: UInt8, BitwiseCopyable, Sendable, CaseIterable {
    case read, readVectored, write, writeVectored, sync, dataSync, poll
}

/// What carried out an operation.
public enum Served: UInt8, BitwiseCopyable, Sendable, CaseIterable {
    /// The page cache, in the call that submitted it.
    case pageCache
    /// The call that submitted it, but not from the page cache. For example an operation that failed at once.
    case call
    /// The engine, without a worker of the library. io_uring may have used a kernel worker (io-wq), which it does not
    /// report.
    case engine
    /// A worker thread of the library.
    case worker
    /// The kernel's own Linux AIO.
    case linuxAIO

    /// What carried out an operation, according to the flags of its completion.
    @inline(__always)
    public init(_ flags: CompletionFlags) { self = flags.contains(.usedWorker) ? .worker : .engine }
}

/// What a library did in this process, for the summary that AIO_STATS requests. AIO_STATS=1 writes it to standard
/// error. AIO_STATS=FILE appends it to a file; in the name, %p is the process ID and %% a per cent sign. The summary is
/// written when the process ends by exit(3), a return from main, or _exit(2).
///
/// It is not written when the process ends by a signal, quick_exit(3), exec(2) or the system call itself, since no
/// library code runs then. A forked child counts from zero and writes a summary of its own if it used the library.
///
/// Recording is off unless the environment requests it when the library is loaded. Each call here then costs a load and
/// a well-predicted branch. When it is on, any number of threads record without a lock.
public enum Statistics {
    /// Whether recording is on.
    @inline(__always)
    public static var isOn: Bool {
        // Relaxed, here and below: it is set before the program's first instruction or never.
        cellsAddress.load(ordering: .relaxed) != 0
    }

    // MARK: An operation

    /// Records that an operation is about to be accepted. Returns the time for `complete`, or 0 if recording is off.
    @inline(__always)
    public static func begin(_ kind: OperationKind) -> Nanoseconds {
        isOn ? record(begun: kind) : 0
    }

    /// Records that the operation was not accepted.
    @inline(__always)
    public static func withdraw(_ kind: OperationKind, _ began: Nanoseconds) {
        if began != 0 { record(withdrawn: kind) }
    }

    /// Records a completion. `result` is the value or a negative errno. Call it before the completion is visible to the
    /// program, which may end the process then.
    @inline(__always)
    public static func complete(_ began: Nanoseconds, _ served: Served, result: Int) {
        if began != 0 { record(completed: began, served, result) }
    }

    /// Records an operation that is handed to the kernel's own Linux AIO, whose completion is not seen.
    @inline(__always)
    public static func noteNative(_ kind: OperationKind) {
        if isOn { record(native: kind) }
    }

    // MARK: A call that submits

    /// Records the start of a call that submits. Returns the time for `completeSubmit`.
    @inline(__always)
    public static func beginSubmit() -> Nanoseconds { isOn ? Kernel.now() : 0 }

    /// Records the end of such a call. It took the caller the time since `began`.
    @inline(__always)
    public static func completeSubmit(_ began: Nanoseconds) {
        if began != 0 { record(submitted: began) }
    }

    // MARK: The engine

    /// Records the library's engine in this process.
    static func note(_ choice: EngineChoice) {
        guard let cells = StatisticsCells.current else { return }
        cells.noteUse(Kernel.now())
        cells.engine.pointee.store(choice.packed, ordering: .relaxed)
    }

    /// Records that an engine could not start. An engine that runs, or starts later, takes precedence.
    static func note(_ failure: EngineFailure) {
        guard let cells = StatisticsCells.current else { return }
        cells.noteUse(Kernel.now())
        let before = cells.engine.pointee.load(ordering: .relaxed)
        guard EngineChoice.engine(ofPacked: before) == nil else { return }
        _ = cells.engine.pointee.compareExchange(
            expected: before, desired: EngineChoice.packed(failure), ordering: .relaxed)
    }
}

/// What the statistics keep with an operation.
public struct OperationAccount: BitwiseCopyable, Sendable {
    private var began: Nanoseconds = 0
    private var kind = OperationKind.read
    /// What carries it out, as far as is known.
    public var served = Served.engine

    public init() {}

    @inline(__always)
    public mutating func begin(_ kind: OperationKind) {
        self.kind = kind
        served = .engine
        began = Statistics.begin(kind)
    }

    @inline(__always)
    public func withdraw() { Statistics.withdraw(kind, began) }

    @inline(__always)
    public func complete(result: Int) { Statistics.complete(began, served, result: result) }
}

// The slow paths, when recording is on. Not inlined into the callers.
extension Statistics {
    @inline(never)
    private static func record(begun kind: OperationKind) -> Nanoseconds {
        guard let cells = StatisticsCells.current else { return 0 }
        let now = Kernel.now()
        cells.noteUse(now)
        cells.begun(kind).pointee.wrappingAdd(1, ordering: .relaxed)
        cells.inFlightMax.pointee.raise(to: cells.inFlight.pointee.wrappingAdd(1, ordering: .relaxed).newValue)
        return now
    }

    @inline(never)
    private static func record(native kind: OperationKind) {
        guard let cells = StatisticsCells.current else { return }
        cells.noteUse(Kernel.now())
        cells.begun(kind).pointee.wrappingAdd(1, ordering: .relaxed)
        cells.served(.linuxAIO).pointee.wrappingAdd(1, ordering: .relaxed)
    }

    @inline(never)
    private static func record(withdrawn kind: OperationKind) {
        guard let cells = StatisticsCells.current else { return }
        cells.begun(kind).pointee.wrappingSubtract(1, ordering: .relaxed)
        cells.noteEnd()
    }

    @inline(never)
    private static func record(completed began: Nanoseconds, _ served: Served, _ result: Int) {
        guard let cells = StatisticsCells.current else { return }
        cells.served(served).pointee.wrappingAdd(1, ordering: .relaxed)
        if result < 0 {
            (result == -Int(ECANCELED) ? cells.cancelled : cells.failed).pointee.wrappingAdd(1, ordering: .relaxed)
        }
        cells.noteEnd()
        cells.latency.record(Kernel.now() &- began)
    }

    @inline(never)
    private static func record(submitted began: Nanoseconds) {
        guard let cells = StatisticsCells.current else { return }
        cells.submit.record(Kernel.now() &- began)
    }
}

/// The counters of this process.
///
/// They are in pages that the kernel wipes in a forked child (MADV_WIPEONFORK, 4.14), so that the child counts from
/// zero, even if it was created without libc. All orderings are relaxed, since the counters are independent; see
/// `Histogram`.
struct StatisticsCells: BitwiseCopyable {
    typealias Cell = Atomic<UInt64>

    private let base: UnsafeMutablePointer<Cell>

    @inline(__always)
    static var current: StatisticsCells? {
        guard let base = UnsafeMutablePointer<Cell>(bitPattern: cellsAddress.load(ordering: .relaxed)) else {
            return nil
        }
        return StatisticsCells(base: base)
    }

    /// Maps the pages. Called before the program's first instruction, or never.
    static func map() {
        let size = (24 + 2 * Histogram.cellCount) * MemoryLayout<Cell>.stride + textSize + pathSize
        let result = Kernel.mmap(size, CK_PROT_READ | CK_PROT_WRITE, CK_MAP_PRIVATE | CK_MAP_ANONYMOUS, -1, 0)
        guard result > 0, let start = UnsafeMutableRawPointer(bitPattern: result) else { return }
        Kernel.madvise(start, size, CK_MADV_WIPEONFORK)
        cellsAddress.store(UInt(result), ordering: .relaxed)
    }

    /// Not more than PIPE_BUF, so that a write to a pipe is atomic.
    private static var textSize: Int { 4096 }
    /// PATH_MAX.
    private static var pathSize: Int { 4096 }

    /// The memory in which the summary is composed, and the name of its file: none can be allocated in a signal
    /// handler.
    var text: UnsafeMutableBufferPointer<UInt8> { bytes(at: 0, Self.textSize) }
    var path: UnsafeMutableBufferPointer<UInt8> { bytes(at: Self.textSize, Self.pathSize) }

    private func bytes(at offset: Int, _ count: Int) -> UnsafeMutableBufferPointer<UInt8> {
        let start = UnsafeMutableRawPointer(base + 24 + 2 * Histogram.cellCount) + offset
        return UnsafeMutableBufferPointer(start: start.assumingMemoryBound(to: UInt8.self), count: count)
    }

    func noteUse(_ now: Nanoseconds) {
        guard process.pointee.load(ordering: .relaxed) == 0 else { return }
        start.pointee.store(now, ordering: .relaxed)
        process.pointee.store(UInt64(Kernel.processID()), ordering: .relaxed)
    }

    /// Counts out an operation in flight.
    fileprivate func noteEnd() {
        let left = inFlight.pointee.wrappingSubtract(1, ordering: .relaxed).newValue
        assert(left < .max, "more operations end than have begun")
    }

    /// When the library was first used.
    var start: UnsafeMutablePointer<Cell> { cell(0) }
    /// The ID of the process that uses it; 0 before the first use.
    var process: UnsafeMutablePointer<Cell> { cell(6) }
    /// 1 once the summary is being written.
    var isEnded: UnsafeMutablePointer<Cell> { cell(7) }
    var engine: UnsafeMutablePointer<Cell> { cell(1) }
    var inFlight: UnsafeMutablePointer<Cell> { cell(2) }
    var inFlightMax: UnsafeMutablePointer<Cell> { cell(3) }
    var failed: UnsafeMutablePointer<Cell> { cell(4) }
    var cancelled: UnsafeMutablePointer<Cell> { cell(5) }
    func begun(_ kind: OperationKind) -> UnsafeMutablePointer<Cell> { cell(8 + Int(kind.rawValue)) }
    func served(_ by: Served) -> UnsafeMutablePointer<Cell> { cell(16 + Int(by.rawValue)) }
    var latency: Histogram { Histogram(base + 24) }
    var submit: Histogram { Histogram(base + 24 + Histogram.cellCount) }

    private func cell(_ index: Int) -> UnsafeMutablePointer<Cell> {
        let cell = base + index
        assert(cell >= base && cell < base + 24, "the cell is outside of the counters")
        return cell
    }
}

/// The address of the pages; 0 while recording is off. Children inherit the address and the mapping.
private let cellsAddress = Atomic<UInt>(0)
