/// Replaces the descriptors of an operation.
extension Operation {
    /// The operation on another descriptor; unchanged if it works on none.
    public func on(_ other: Descriptor) -> Operation {
        switch self {
        case .transfer(var transfer):
            transfer.descriptor = other
            return .transfer(transfer)
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
        case .nop, .open, .close, .status, .rename, .unlink, .makeDirectory, .link, .symbolicLink, .call, .work,
            .futexWait, .timeout, .cancel, .repeatingTimeout, .buffers, .cancelAll:
            return self
        }
    }

    /// The operation with another second descriptor; unchanged if it has none.
    func onOther(_ other: Descriptor) -> Operation {
        switch self {
        case .splice(var splice):
            splice.output = other
            return .splice(splice)
        case .tee(var splice):
            splice.output = other
            return .tee(splice)
        case .transfer, .sync, .syncRange, .allocate, .truncate, .advise, .poll, .pollEach, .socket, .waitForChild,
            .nop,
            .open, .close, .status, .rename, .unlink, .makeDirectory, .link, .symbolicLink, .call, .work, .futexWait,
            .timeout, .cancel, .repeatingTimeout, .buffers, .cancelAll:
            return self
        }
    }
}

extension SocketCall {
    /// The call on another socket.
    func on(_ other: Descriptor) -> SocketCall {
        switch self {
        case .create: self
        case .bind(_, let address, let count): .bind(other, address: address, count: count)
        case .listen(_, let backlog): .listen(other, backlog: backlog)
        case .accept(_, let address, let count, let flags):
            .accept(other, address: address, count: count, flags: flags)
        case .acceptEach(_, let flags): .acceptEach(other, flags: flags)
        case .connect(_, let address, let count): .connect(other, address: address, count: count)
        case .receive(_, let buffer, let count, let flags, let waitsFirst):
            .receive(other, buffer, count: count, flags: flags, waitsFirst: waitsFirst)
        case .receiveBuffered(_, let group, let flags, let isRepeating):
            .receiveBuffered(other, group: group, flags: flags, isRepeating: isRepeating)
        case .send(_, let bytes, let count, let flags, let waitsFirst):
            .send(other, bytes, count: count, flags: flags, waitsFirst: waitsFirst)
        case .sendZeroCopy(_, let bytes, let count, let flags):
            .sendZeroCopy(other, bytes, count: count, flags: flags)
        case .receiveMessage(_, let message, let flags, let waitsFirst):
            .receiveMessage(other, message, flags: flags, waitsFirst: waitsFirst)
        case .sendMessage(_, let message, let flags, let waitsFirst):
            .sendMessage(other, message, flags: flags, waitsFirst: waitsFirst)
        case .shutdown(_, let how): .shutdown(other, how: how)
        }
    }
}
