internal import AIOCore
internal import CKernel

/// The four kinds of transfer, for what they have in common.
enum TransferKind {
    case read, write, readVectored, writeVectored

    /// The operation. Made only for what goes to a loop.
    func operation(_ transfer: Transfer) -> Operation {
        switch self {
        case .read: .read(transfer)
        case .write: .write(transfer)
        case .readVectored: .readVectored(transfer)
        case .writeVectored: .writeVectored(transfer)
        }
    }

    var name: String {
        switch self {
        case .read, .readVectored: "read"
        case .write, .writeVectored: "write"
        }
    }
}

extension File {
    /// The way of every read and write: tried where the caller stands, then handed to a loop.
    ///
    /// Always inlined: the first attempt is a plain call then, and a hit costs one async frame, the caller's.
    @inline(__always)
    func perform(
        _ kind: TransferKind, _ transfer: Transfer, _ deadline: Deadline
    ) async throws(IOError) -> Int {
        var transfer = transfer
        if let result = try serveNow(kind, &transfer, deadline) { return result }
        return try await handOver(kind, transfer, deadline)
    }

    private func handOver(
        _ kind: TransferKind, _ transfer: Transfer, _ deadline: Deadline
    ) async throws(IOError) -> Int {
        try begin(kind.name)
        defer { lease.end() }
        return Int(
            try await runtime.perform(kind.operation(transfer), deadline.nanoseconds, kind.name, path).result)
    }

    /// preadv2(2) or pwritev2(2) with RWF_NOWAIT on the calling thread. nil if the operation has to go to a loop;
    /// `transfer` then says whether the page cache was asked in vain.
    @inline(__always)
    private func serveNow(
        _ kind: TransferKind, _ transfer: inout Transfer, _ deadline: Deadline
    ) throws(IOError) -> Int? {
        try begin(kind.name, deadline)
        defer { lease.end() }
        guard transfer.offset >= 0 || descriptor.kind == .stream else {
            throw IOError(.invalidArgument, kind.name, path: path, advice: "the offset is negative")
        }
        guard mayServeNow(kind, transfer.count), guess.isWorthAsking() else { return nil }
        // A task that is served again and again without suspending would keep its loop from everybody else.
        if guess.isTurnUsedUp(), runtime.isOnLoop { return nil }
        let result = kind == .write ? writeNow(transfer) : transfer.attemptWithoutWaiting(isWrite: false)
        if result >= 0 {
            guess.noteHit()
            return result
        }
        guard isMiss(result, &transfer) else {
            throw IOError(result: Int32(truncatingIfNeeded: result), kind.name, path: path)
        }
        return nil
    }

    /// To a stream.
    private func writeNow(_ transfer: Transfer) -> Int {
        runtime.withoutBrokenPipeSignal { transfer.attemptWithoutWaiting(isWrite: true) }
    }

    /// Buffered reads, and streams; not what takes too long to copy on the caller's thread.
    @inline(__always)
    private func mayServeNow(_ kind: TransferKind, _ count: Int) -> Bool {
        guard runtime.configuration.inlineAttempts, count <= Transfer.inlineLimit else { return false }
        return switch descriptor.kind {
        case .buffered: kind == .read
        case .stream: kind == .read || kind == .write
        case .unknown, .direct, .other: false
        }
    }

    /// Whether a failed attempt says no more than that this is for a loop. Learns from it.
    private func isMiss(_ result: Int, _ transfer: inout Transfer) -> Bool {
        let mayWait = !transfer.flags.contains(.noWait)
        switch result {
        case -Int(EAGAIN) where mayWait:
            // A stream that is not ready says nothing about the next time.
            if descriptor.kind == .buffered { guess.noteMiss() }
            transfer.flags.insert(.cacheMissed)
            return true
        case -Int(EOPNOTSUPP):
            // This file system cannot tell; or it does not know one of the flags, which the engine will say.
            if mayWait { guess.noteUnsupported() }
            return true
        case -Int(ESPIPE):
            // It takes no offset though it looks like a file, which the engine heeds.
            return true
        default:
            return false
        }
    }
}
