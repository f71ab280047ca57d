public import AIOCore
internal import CDropIns
internal import CKernel
internal import Synchronization

/// What a program asked a drop-in library to do.
public enum OperationKind: UInt8, BitwiseCopyable, Sendable, CaseIterable {
    case read, readVectored, write, writeVectored, sync, dataSync, poll
}

/// By whom an operation was carried out.
public enum Served: UInt8, BitwiseCopyable, Sendable, CaseIterable {
    /// The page cache, in the call that submitted it.
    case pageCache
    /// The call that submitted it, but not from the page cache: what failed at once, for one.
    case call
    /// The engine, without a worker of ours. io_uring may have used one of the kernel's own (io-wq): it does not say.
    case engine
    /// A worker of the engine.
    case worker
    /// The kernel's own Linux AIO.
    case linuxAIO

    /// How an engine carried out what completed so.
    @inline(__always)
    public init(_ flags: CompletionFlags) { self = flags.contains(.usedWorker) ? .worker : .engine }
}

/// What a library did in this process, for the summary that AIO_STATS asks for: AIO_STATS=1 writes it to standard
/// error, AIO_STATS=FILE appends it to a file (%p in its name is the process's number, %% a per cent sign), when the process ends by exit(3), a return from main, or _exit(2).
///
/// Not when it ends by a signal, quick_exit(3), exec(2) or the system call itself: no code of a library runs then. A
/// forked child counts from zero, and writes a summary of its own if it used the library.
///
/// Off unless the environment asks for it when the library is loaded; every call here then costs a load and a branch
/// that is always taken the same way. When on, any number of threads record, with no lock.
public enum Statistics {
    /// Whether anything is recorded.
    @inline(__always)
    public static var isOn: Bool {
        // Relaxed, here and below: it is set before the program's first instruction, or never.
        cellsAddress.load(ordering: .relaxed) != 0
    }

    // MARK: An operation

    /// An operation is about to be accepted, and tried in the call. Returns what `complete` wants: when that was, or 0 if nothing is recorded.
    @inline(__always)
    public static func begin(_ kind: OperationKind) -> Nanoseconds {
        isOn ? record(begun: kind) : 0
    }

    /// It was not accepted after all.
    @inline(__always)
    public static func withdraw(_ kind: OperationKind, _ began: Nanoseconds) {
        if began != 0 { record(withdrawn: kind) }
    }

    /// It completed: `result` is its value or a negative errno. To be called before the program can see that, since it
    /// may end then.
    @inline(__always)
    public static func complete(_ began: Nanoseconds, _ served: Served, result: Int) {
        if began != 0 { record(completed: began, served, result) }
    }

    /// An operation is handed to the kernel's own Linux AIO, and seen no more.
    @inline(__always)
    public static func noteNative(_ kind: OperationKind) {
        if isOn { record(native: kind) }
    }

    // MARK: A call that submits

    /// A call that submits begins. Returns what `completeSubmit` wants.
    @inline(__always)
    public static func beginSubmit() -> Nanoseconds { isOn ? Kernel.now() : 0 }

    /// It returns: the time since it began was the caller's.
    @inline(__always)
    public static func completeSubmit(_ began: Nanoseconds) {
        if began != 0 { record(submitted: began) }
    }

    // MARK: The engine

    /// The library's engine in this process.
    static func note(_ choice: EngineChoice) {
        guard let cells = StatisticsCells.current else { return }
        cells.noteUse(Kernel.now())
        cells.engine.pointee.store(choice.packed, ordering: .relaxed)
    }

    /// It could not start. One that runs already, or starts later, counts for more.
    static func note(_ failure: EngineFailure) {
        guard let cells = StatisticsCells.current else { return }
        cells.noteUse(Kernel.now())
        let before = cells.engine.pointee.load(ordering: .relaxed)
        guard EngineChoice.engine(ofPacked: before) == nil else { return }
        _ = cells.engine.pointee.compareExchange(
            expected: before, desired: EngineChoice.packed(failure), ordering: .relaxed)
    }
}

/// What a library notes with an operation for the statistics.
public struct OperationAccount: BitwiseCopyable, Sendable {
    private var began: Nanoseconds = 0
    private var kind = OperationKind.read
    /// By whom it is carried out, as far as is known yet.
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

// The way when it is on, kept out of the callers' code.
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
        cells.inFlight.pointee.wrappingSubtract(1, ordering: .relaxed)
    }

    @inline(never)
    private static func record(completed began: Nanoseconds, _ served: Served, _ result: Int) {
        guard let cells = StatisticsCells.current else { return }
        cells.served(served).pointee.wrappingAdd(1, ordering: .relaxed)
        if result < 0 {
            (result == -Int(ECANCELED) ? cells.cancelled : cells.failed).pointee.wrappingAdd(1, ordering: .relaxed)
        }
        cells.inFlight.pointee.wrappingSubtract(1, ordering: .relaxed)
        cells.latency.record(Kernel.now() &- began)
    }

    @inline(never)
    private static func record(submitted began: Nanoseconds) {
        guard let cells = StatisticsCells.current else { return }
        cells.submit.record(Kernel.now() &- began)
    }
}

/// Where the numbers of this process are kept.
///
/// They are in pages that the kernel wipes in a forked child (MADV_WIPEONFORK, 4.14), which so counts from zero, however
/// it was made. All orderings are relaxed, since each number stands for itself; see `Histogram`.
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

    /// Maps the pages. Before the program's first instruction, or not at all.
    static func map() {
        let size = (24 + 2 * Histogram.cellCount) * MemoryLayout<Cell>.stride + textSize
        let result = Kernel.mmap(size, CK_PROT_READ | CK_PROT_WRITE, CK_MAP_PRIVATE | CK_MAP_ANONYMOUS, -1, 0)
        guard result > 0, let start = UnsafeMutableRawPointer(bitPattern: result) else { return }
        Kernel.madvise(start, size, CK_MADV_WIPEONFORK)
        cellsAddress.store(UInt(result), ordering: .relaxed)
    }

    /// Less than PIPE_BUF, so that it stays in one piece in a pipe as well.
    private static var textSize: Int { 4096 }

    /// Where the summary is put together.
    var text: UnsafeMutableBufferPointer<UInt8> {
        let start = UnsafeMutableRawPointer(base + 24 + 2 * Histogram.cellCount)
        return UnsafeMutableBufferPointer(start: start.assumingMemoryBound(to: UInt8.self), count: Self.textSize)
    }

    func noteUse(_ now: Nanoseconds) {
        guard process.pointee.load(ordering: .relaxed) == 0 else { return }
        start.pointee.store(now, ordering: .relaxed)
        process.pointee.store(UInt64(Kernel.processID()), ordering: .relaxed)
    }

    /// When the library was first used.
    var start: UnsafeMutablePointer<Cell> { base }
    /// The process that uses it; 0 before that.
    var process: UnsafeMutablePointer<Cell> { base + 6 }
    /// 1 once the summary is being written.
    var isEnded: UnsafeMutablePointer<Cell> { base + 7 }
    var engine: UnsafeMutablePointer<Cell> { base + 1 }
    var inFlight: UnsafeMutablePointer<Cell> { base + 2 }
    var inFlightMax: UnsafeMutablePointer<Cell> { base + 3 }
    var failed: UnsafeMutablePointer<Cell> { base + 4 }
    var cancelled: UnsafeMutablePointer<Cell> { base + 5 }
    func begun(_ kind: OperationKind) -> UnsafeMutablePointer<Cell> { base + 8 + Int(kind.rawValue) }
    func served(_ by: Served) -> UnsafeMutablePointer<Cell> { base + 16 + Int(by.rawValue) }
    var latency: Histogram { Histogram(base + 24) }
    var submit: Histogram { Histogram(base + 24 + Histogram.cellCount) }
}

/// Where the pages are; 0 while nothing is recorded. Inherited by children, as the mapping is.
private let cellsAddress = Atomic<UInt>(0)
