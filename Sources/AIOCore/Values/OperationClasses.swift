internal import CKernel

// What follows from the traits (`OperationTraits`), and what is asked often enough to have a name of its own.

extension Operation {
    /// What it works on; nil for operations on none, or on a path.
    @inline(__always)
    public var descriptor: Descriptor? { traits.descriptor }

    @inline(__always)
    var otherDescriptor: Descriptor? { traits.otherDescriptor }

    /// The read or write, if it is one.
    @inline(__always)
    public var transfer: Transfer? {
        if case .transfer(let transfer) = self { transfer } else { nil }
    }

    /// Whether it is a read or write that writes.
    public var isWrite: Bool { transfer?.isWrite ?? false }

    @inline(__always)
    public var isWait: Bool { traits.isWait }

    public var isRelease: Bool { traits.isRelease }

    public var isRepeating: Bool { traits.isRepeating }

    package var makesDescriptor: Bool { traits.makesDescriptor }

    /// Whether it is an operation on this descriptor.
    package func isOn(_ other: Descriptor) -> Bool {
        if let descriptor, descriptor.isSame(as: other) { return true }
        return otherDescriptor.map { $0.isSame(as: other) } ?? false
    }

    /// Whether its completion is news from somebody else: it waits, but neither for the clock nor for room to write.
    @inline(__always)
    var isMessage: Bool {
        let traits = traits
        guard traits.isWait else { return false }
        return switch traits.awaits {
        case .descriptor(.reading)?, .descriptor(.polling)?, .wakeUp?: true
        case .descriptor(.writing)?, .clock?, nil: false
        }
    }

    /// Whether it is a write through the page cache, to be durable later.
    public var isBufferedWrite: Bool {
        guard let transfer, transfer.isWrite else { return false }
        return transfer.descriptor.kind == .buffered && transfer.flags.isDisjoint(with: [.sync, .dataSync])
    }

    /// Whether it may hold a worker for as long as somebody else pleases.
    @inline(__always)
    var mayWaitForOthers: Bool {
        let traits = traits
        guard let descriptor = traits.descriptor, descriptor.backing == .remote, traits.interest != .polling else {
            return false
        }
        // A stream is read when it is ready.
        return descriptor.kind != .stream || isWrite
    }

    var isConnect: Bool {
        if case .socket(.connect) = self { true } else { false }
    }

    /// Whether trying again now and then is all that can be done after an EAGAIN (`SocketCall.isPacedByTime`).
    var isPacedByTime: Bool {
        if case .socket(let call) = self { call.isPacedByTime } else { false }
    }
}

extension Transfer {
    @inline(__always)
    var isWholeWrite: Bool { form.isSuperset(of: [.writing, .whole]) }
}

extension SocketCall {
    /// nil for `create`.
    public var descriptor: Descriptor? { traits.descriptor }

    /// Whether it waits before it is tried.
    var waitsFirst: Bool {
        switch self {
        case .receive(_, _, _, _, let waitsFirst), .send(_, _, _, _, let waitsFirst),
            .receiveMessage(_, _, _, let waitsFirst), .sendMessage(_, _, _, let waitsFirst):
            waitsFirst
        case .create, .bind, .listen, .accept, .acceptEach, .connect, .receiveBuffered, .sendZeroCopy, .shutdown: false
        }
    }

    /// Whether it looks names up in a file system, or may: that can take its time.
    var isForWorker: Bool {
        if case .bind(_, let address, _) = self { Self.isUnixDomain(address) } else { isPacedByTime }
    }

    /// Whether no poll tells when it can go on: a Unix-domain listener without room is found so by trying again, and so is
    /// a receiver of datagrams that the socket is not connected to.
    var isPacedByTime: Bool {
        switch self {
        case .connect(_, let address, _): Self.isUnixDomain(address)
        case .sendMessage(_, let message, _, _): message.pointee.name.map { Self.isUnixDomain($0) } ?? false
        case .create, .bind, .listen, .accept, .acceptEach, .receive, .receiveBuffered, .receiveMessage, .send,
            .sendZeroCopy, .shutdown:
            false
        }
    }

    /// An address begins with its family, 16 bits in the machine's order.
    private static func isUnixDomain(_ address: UnsafeRawPointer) -> Bool {
        address.loadUnaligned(as: UInt16.self) == UInt16(CK_AF_UNIX)
    }

    /// The flags as the kernel gets them.
    static func sendFlags(_ flags: Int32) -> Int32 { receiveFlags(flags) | CK_MSG_NOSIGNAL }
    static func receiveFlags(_ flags: Int32) -> Int32 { flags & ~CK_MSG_WAITALL }
}
