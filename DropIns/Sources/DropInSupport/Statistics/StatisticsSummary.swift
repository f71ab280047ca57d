internal import AIOCore
internal import CDropIns
internal import Synchronization

extension StatisticsCells {
    /// Whether the library was used in this process. False in a forked child that has not called it.
    var isUsed: Bool { value(process) != 0 }

    /// Whether to write the summary now: once, and not in a child that shares its parent's memory (vfork).
    func beginEnd() -> Bool {
        value(process) == UInt64(Kernel.processID()) && isEnded.pointee.exchange(1, ordering: .relaxed) == 0
    }

    fileprivate var begunCount: UInt64 { OperationKind.allCases.reduce(0) { $0 + value(begun($1)) } }
    fileprivate var completedCount: UInt64 { Served.allCases.reduce(0) { $0 + value(served($1)) } }

    fileprivate func value(_ cell: UnsafeMutablePointer<Cell>) -> UInt64 { cell.pointee.load(ordering: .relaxed) }
}

extension TextBuffer {
    /// Appends the summary of what the library did in this process: one screen.
    mutating func appendSummary(_ cells: StatisticsCells) {
        appendTitle(cells)
        append(name: "engine  ")
        append(packedChoice: cells.value(cells.engine))
        append("\n")
        appendOperations(cells)
        appendCompletions(cells)
        append(cells.value(cells.inFlightMax), "in flight at most")
        append("\n")
        appendTimes(cells)
    }

    private mutating func appendTitle(_ cells: StatisticsCells) {
        append("aio: ")
        append(cString: drop_in_library_name())
        append(" in ")
        append(cString: drop_in_program_name())
        append(", process ")
        append(cells.value(cells.process))
        append(", ")
        append(hundredths: (Kernel.now() &- cells.value(cells.start)) / 10_000_000)
        append(" s from its first use to the end\n")
    }

    private mutating func appendOperations(_ cells: StatisticsCells) {
        let whole = cells.begunCount
        append(whole, "operations")
        append("\n")
        for kind in OperationKind.allCases {
            let count = cells.value(cells.begun(kind))
            guard count > 0 else { continue }
            append(count, of: whole, kind.label)
            append("\n")
        }
    }

    private mutating func appendCompletions(_ cells: StatisticsCells) {
        let whole = cells.completedCount
        let isRing = EngineChoice.engine(ofPacked: cells.value(cells.engine)) == .ioUring
        append(whole, "completed")
        append("\n")
        for served in Served.allCases {
            let count = cells.value(cells.served(served))
            guard count > 0 || served.isAlwaysShown else { continue }
            append(count, of: whole, served.label)
            if served == .pageCache { append("  in the call that submitted them") }
            // io_uring does not report which operations its own workers carried out.
            if served == .engine, isRing { append("  and by the kernel's own workers, unseen") }
            append("\n")
        }
        let cancelled = cells.value(cells.cancelled)
        if cancelled > 0 {
            append(cancelled, of: whole, "  cancelled")
            append("  of these\n")
        }
        append(cells.value(cells.failed), of: whole, "  failed")
        append("  of these\n")
    }

    private mutating func appendTimes(_ cells: StatisticsCells) {
        append(name: "times in us")
        append(column: 0) { $0.append("count") }
        append(column: 1) { $0.append("mean") }
        append(column: 2) { $0.append("p50") }
        append(column: 3) { $0.append("p99") }
        append(column: 4) { $0.append("p99.9") }
        append(column: 5) { $0.append("worst") }
        append("\n")
        append(cells.latency, name: "  from acceptance to completion")
        append(cells.submit, name: "  in a call that submits")
    }
}

// Lines, whose numbers end at the same columns.
extension TextBuffer {
    private mutating func append(name: StaticString) {
        pad(to: 4)
        append(name)
    }

    private mutating func append(column: Int, _ body: (inout TextBuffer) -> Void) {
        append(endingAt: 45 + 11 * column, body)
    }

    private mutating func append(_ count: UInt64, _ name: StaticString) {
        append(name: name)
        append(column: 0) { $0.append(grouped: count) }
    }

    private mutating func append(_ count: UInt64, of whole: UInt64, _ name: StaticString) {
        append(count, name)
        append(endingAt: 52) { line in
            // Tenths of a per cent, rounded.
            let tenths = whole == 0 ? 0 : (count * 1000 + whole / 2) / whole
            line.append(tenths / 10)
            line.append(".")
            line.append(tenths % 10)
        }
        append(" %")
    }

    private mutating func append(_ times: Histogram, name: StaticString) {
        let count = times.count
        append(count, name)
        append(column: 1) { $0.append(nanosecondsInMicroseconds: count == 0 ? 0 : times.sum / count) }
        append(column: 2) { $0.append(nanosecondsInMicroseconds: times.percentile(perMille: 500)) }
        append(column: 3) { $0.append(nanosecondsInMicroseconds: times.percentile(perMille: 990)) }
        append(column: 4) { $0.append(nanosecondsInMicroseconds: times.percentile(perMille: 999)) }
        append(column: 5) { $0.append(nanosecondsInMicroseconds: times.greatest) }
        append("\n")
    }

    private mutating func append(nanosecondsInMicroseconds time: UInt64) { append(hundredths: (time + 5) / 10) }
}

extension OperationKind {
    fileprivate var label: StaticString {
        switch self {
        case .read: "  read"
        case .readVectored: "  read, vectored"
        case .write: "  write"
        case .writeVectored: "  write, vectored"
        case .sync: "  fsync"
        case .dataSync: "  fdsync"
        case .poll: "  poll"
        }
    }
}

extension Served {
    fileprivate var label: StaticString {
        switch self {
        case .pageCache: "  from the page cache"
        case .call: "  otherwise in the call"
        case .engine: "  by the engine"
        case .worker: "  by a worker thread"
        case .linuxAIO: "  by the kernel's Linux AIO"
        }
    }

    fileprivate var isAlwaysShown: Bool { self == .pageCache || self == .engine || self == .worker }
}
