/// The descriptor that an operation works on, for what treats all operations alike.
extension Operation {
    /// nil for operations on none, or on a path.
    public var descriptor: Descriptor? {
        switch self {
        case .read(let transfer), .write(let transfer), .readVectored(let transfer), .writeVectored(let transfer):
            transfer.descriptor
        case .sync(let descriptor, _), .syncRange(let descriptor, _, _, _), .allocate(let descriptor, _, _, _),
            .truncate(let descriptor, _), .advise(let descriptor, _, _, _), .poll(let descriptor, _),
            .pollEach(let descriptor, _):
            descriptor
        case .socket(let call): call.descriptor
        case .splice(let splice), .tee(let splice): splice.input
        case .waitForChild(let child, _, _): child
        case .nop, .open, .close, .status, .rename, .unlink, .makeDirectory, .link, .symbolicLink, .call, .work,
            .futexWait, .timeout, .repeatingTimeout, .buffers, .cancel, .cancelAll:
            nil
        }
    }

    /// The second descriptor of an operation on two.
    var otherDescriptor: Descriptor? {
        switch self {
        case .splice(let splice), .tee(let splice): splice.output
        default: nil
        }
    }

    /// The same operation with another second descriptor.
    func onOther(_ other: Descriptor) -> Operation {
        switch self {
        case .splice(var splice):
            splice.output = other
            return .splice(splice)
        case .tee(var splice):
            splice.output = other
            return .tee(splice)
        default:
            return self
        }
    }

    /// Whether an engine made of system calls has to know what its descriptor is. What is for sockets is refused elsewhere.
    var needsKind: Bool {
        switch self {
        case .socket, .waitForChild: false
        default: true
        }
    }

    var isConnect: Bool {
        if case .socket(.connect) = self { true } else { false }
    }

    /// Whether it is an operation on this descriptor.
    package func isOn(_ other: Descriptor) -> Bool {
        if let descriptor, descriptor.isSame(as: other) { return true }
        return otherDescriptor.map { $0.isSame(as: other) } ?? false
    }

    /// Whether it gives something up that would otherwise be kept for ever: a descriptor, or what was half made. Such an
    /// operation is carried out whatever is asked for: no cancel takes it back, and no deadline ends it.
    public var isRelease: Bool {
        switch self {
        case .close: true
        case .buffers(.provide), .buffers(.unregister): true
        case .work(let work): work.takeUnretainedValue().isRelease
        default: false
        }
    }

    /// Whether it completes with a descriptor that is then its owner's to close.
    package var makesDescriptor: Bool {
        switch self {
        case .open, .socket(.create), .socket(.accept), .socket(.acceptEach): true
        default: false
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
        case .pollEach(_, let events): return .pollEach(other, events: events)
        case .socket(let call): return .socket(call.on(other))
        case .splice(var splice):
            splice.input = other
            return .splice(splice)
        case .tee(var splice):
            splice.input = other
            return .tee(splice)
        case .waitForChild(_, let status, let options):
            return .waitForChild(other, status: status, options: options)
        case .read, .write, .readVectored, .writeVectored, .nop, .open, .close, .status, .rename, .unlink,
            .makeDirectory, .link, .symbolicLink, .call, .work, .futexWait, .timeout, .cancel,
            .repeatingTimeout, .buffers, .cancelAll:
            return self
        }
    }

    /// Whether it is a write through the page cache, to be durable later.
    public var isBufferedWrite: Bool {
        guard let (transfer, isWrite) = transfer, isWrite else { return false }
        return transfer.descriptor.kind == .buffered && transfer.flags.isDisjoint(with: [.sync, .dataSync])
    }

    /// Whether a worker can carry it out by itself, and ends with its result.
    var isWorkForAnyWorker: Bool {
        switch self {
        case .read(let transfer), .write(let transfer), .readVectored(let transfer), .writeVectored(let transfer):
            transfer.descriptor.kind != .stream
        case .sync, .syncRange, .open, .close, .status, .allocate, .truncate, .advise, .rename, .unlink, .makeDirectory,
            .link, .symbolicLink, .call:
            true
        case .nop, .work, .socket, .splice, .tee, .waitForChild, .futexWait, .poll, .pollEach, .timeout,
            .repeatingTimeout, .buffers, .cancel, .cancelAll:
            false
        }
    }

    /// Whether it may hold a worker for as long as somebody else pleases.
    @inline(__always)
    var mayWaitForOthers: Bool {
        guard let descriptor, descriptor.backing == .remote else { return false }
        if case .poll = self { return false }
        // A stream is read when it is ready.
        return descriptor.kind != .stream || isWrite
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
