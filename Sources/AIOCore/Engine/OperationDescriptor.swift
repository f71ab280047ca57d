/// The descriptor that an operation works on, for what treats all operations alike.
extension Operation {
    /// nil for operations on none, or on a path.
    public var descriptor: Descriptor? {
        switch self {
        case .read(let transfer), .write(let transfer), .readVectored(let transfer), .writeVectored(let transfer):
            transfer.descriptor
        case .sync(let descriptor, _), .syncRange(let descriptor, _, _, _), .allocate(let descriptor, _, _, _),
            .truncate(let descriptor, _), .advise(let descriptor, _, _, _), .poll(let descriptor, _):
            descriptor
        case .nop, .open, .close, .status, .timeout, .cancel:
            nil
        }
    }

    /// The same operation on another descriptor.
    func on(_ other: Descriptor) -> Operation {
        func moved(_ transfer: Transfer) -> Transfer {
            var transfer = transfer
            transfer.descriptor = other
            return transfer
        }
        switch self {
        case .read(let transfer): return .read(moved(transfer))
        case .write(let transfer): return .write(moved(transfer))
        case .readVectored(let transfer): return .readVectored(moved(transfer))
        case .writeVectored(let transfer): return .writeVectored(moved(transfer))
        case .sync(_, let level): return .sync(other, level)
        case .syncRange(_, let offset, let count, let flags):
            return .syncRange(other, offset: offset, count: count, flags: flags)
        case .allocate(_, let mode, let offset, let count):
            return .allocate(other, mode: mode, offset: offset, count: count)
        case .truncate(_, let size): return .truncate(other, size: size)
        case .advise(_, let offset, let count, let advice):
            return .advise(other, offset: offset, count: count, advice: advice)
        case .poll(_, let events): return .poll(other, events: events)
        case .nop, .open, .close, .status, .timeout, .cancel: return self
        }
    }

    /// The read or write, and its direction.
    @inline(__always)
    var transfer: (transfer: Transfer, isWrite: Bool)? {
        switch self {
        case .read(let transfer), .readVectored(let transfer): (transfer, false)
        case .write(let transfer), .writeVectored(let transfer): (transfer, true)
        default: nil
        }
    }
}
