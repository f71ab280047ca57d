internal import CKernel

/// The outcome of a read or write on a stream without waiting.
public enum StreamAttempt: BitwiseCopyable, Sendable {
    /// Completed: the byte count, or a negative errno that waiting would not change.
    case done(Int)
    /// No data, or no room: poll before retrying.
    case notReady
    /// Ready, but the file supports only calls that may block (a terminal, for example).
    case needsWorker

    /// Attempts the transfer on the calling thread, without blocking.
    public init(_ transfer: Transfer) {
        let result = transfer.attempt(flags: transfer.flags.rawValue | CK_RWF_NOWAIT)
        switch result {
        case -Int(EAGAIN):
            self = transfer.flags.contains(.noWait) ? .done(result) : .notReady
        case -Int(EOPNOTSUPP) where !transfer.flags.contains(.noWait):
            self = Self.withoutNoWait(transfer)
        default:
            self = .done(result)
        }
    }

    /// For files that do not support RWF_NOWAIT: relies on O_NONBLOCK if it is set, and otherwise polls first.
    private static func withoutNoWait(_ transfer: Transfer) -> StreamAttempt {
        let number = transfer.descriptor.number
        if UInt64(max(0, Kernel.openFlags(number))) & CK_O_NONBLOCK != 0 {
            let result = transfer.attempt()
            return result == -Int(EAGAIN) ? .notReady : .done(result)
        }
        var entry = ck_pollfd(descriptor: number, events: Int16(transfer.isWrite ? CK_POLLOUT : CK_POLLIN), returned: 0)
        var zero = ck_timespec()
        return Kernel.ppoll(&entry, 1, &zero) > 0 ? .needsWorker : .notReady
    }
}
