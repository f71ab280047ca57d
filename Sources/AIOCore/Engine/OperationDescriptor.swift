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
        case .nop, .open, .close, .status, .rename, .unlink, .makeDirectory, .link, .symbolicLink, .call, .work,
            .timeout, .cancel:
            nil
        }
    }

    /// The same operation with another transfer, if it has one.
    public func with(_ transfer: Transfer) -> Operation {
        switch self {
        case .read: .read(transfer)
        case .write: .write(transfer)
        case .readVectored: .readVectored(transfer)
        case .writeVectored: .writeVectored(transfer)
        default: self
        }
    }

    /// The read or write at the descriptor's own position.
    var atCurrentPosition: Operation {
        guard var (transfer, _) = transfer else { return self }
        transfer.offset = Transfer.currentPosition
        return with(transfer)
    }

    /// The same operation on another descriptor.
    public func on(_ other: Descriptor) -> Operation {
        if var (transfer, _) = transfer {
            transfer.descriptor = other
            return with(transfer)
        }
        switch self {
        case .sync(_, let level): return .sync(other, level)
        case .syncRange(_, let offset, let count, let flags):
            return .syncRange(other, offset: offset, count: count, flags: flags)
        case .allocate(_, let mode, let offset, let count):
            return .allocate(other, mode: mode, offset: offset, count: count)
        case .truncate(_, let size): return .truncate(other, size: size)
        case .advise(_, let offset, let count, let advice):
            return .advise(other, offset: offset, count: count, advice: advice)
        case .poll(_, let events): return .poll(other, events: events)
        case .read, .write, .readVectored, .writeVectored, .nop, .open, .close, .status, .rename, .unlink,
            .makeDirectory, .link, .symbolicLink, .call, .work, .timeout, .cancel:
            return self
        }
    }

    /// Whether it is a write through the page cache, to be durable later.
    public var isBufferedWrite: Bool {
        guard let (transfer, isWrite) = transfer, isWrite else { return false }
        return transfer.descriptor.kind == .buffered && transfer.flags.isDisjoint(with: [.sync, .dataSync])
    }

    /// Whether it may hold a worker for as long as somebody else pleases.
    @inline(__always)
    var mayWaitForOthers: Bool {
        guard let descriptor, descriptor.backing == .remote else { return false }
        if case .poll = self { return false }
        return true
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
