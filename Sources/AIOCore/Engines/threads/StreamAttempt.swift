internal import CKernel

/// A read or write on a stream, tried without waiting.
public enum StreamAttempt: BitwiseCopyable, Sendable {
    case done(Int)
    /// Nothing to read, or no room to write: wait until the descriptor is ready.
    case notReady
    /// Ready, but this file can only be used by a call that might block after all (a terminal, say).
    case needsWorker

    public init(_ operation: Operation, _ transfer: Transfer, isWrite: Bool) {
        let flags = transfer.flags.kernelFlags
        let result = operation.attempt(transfer, flags: flags | CK_RWF_NOWAIT)
        switch result {
        case -Int(EAGAIN):
            self = transfer.flags.contains(.noWait) ? .done(result) : .notReady
        case -Int(EOPNOTSUPP) where !transfer.flags.contains(.noWait):
            self = Self.withoutNoWait(operation, transfer, isWrite: isWrite)
        default:
            self = .done(result)
        }
    }

    /// For files that do not know RWF_NOWAIT: O_NONBLOCK says the same; without it, ask poll(2) first.
    private static func withoutNoWait(_ operation: Operation, _ transfer: Transfer, isWrite: Bool) -> StreamAttempt {
        let number = transfer.descriptor.number
        if UInt64(max(0, Kernel.openFlags(number))) & CK_O_NONBLOCK != 0 {
            let result = operation.attempt(transfer, flags: transfer.flags.kernelFlags)
            return result == -Int(EAGAIN) ? .notReady : .done(result)
        }
        var entry = ck_pollfd(descriptor: number, events: Int16(isWrite ? CK_POLLOUT : CK_POLLIN), returned: 0)
        var zero = ck_timespec()
        return Kernel.ppoll(&entry, 1, &zero) > 0 ? .needsWorker : .notReady
    }
}
