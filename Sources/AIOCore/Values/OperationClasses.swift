internal import CKernel

// Shorthands for frequently read traits (`OperationTraits`), and classes derived from them.

extension Operation {
    /// The descriptor that the operation works on; nil if it works on none, or on a path.
    @inline(__always)
    public var descriptor: Descriptor? { traits.descriptor }

    @inline(__always)
    package var otherDescriptor: Descriptor? { traits.otherDescriptor }

    /// The transfer, if the operation is a read or write.
    @inline(__always)
    public var transfer: Transfer? {
        if case .transfer(let transfer) = self { transfer } else { nil }
    }

    /// Whether the operation is a transfer that writes.
    public var isWrite: Bool { transfer?.isWrite ?? false }

    /// Whether the operation mostly waits for a peer or for the clock.
    @inline(__always)
    public var isWait: Bool { traits.isWait }

    /// Whether the operation releases a resource: it cannot be cancelled, and deadlines do not apply to it.
    public var isRelease: Bool { traits.isRelease }

    /// Whether the operation has several completions.
    public var isRepeating: Bool { traits.isRepeating }

    /// Whether the operation completes with a descriptor, which the caller then owns.
    package var makesDescriptor: Bool { traits.makesDescriptor }

    /// Whether the operation works on this descriptor.
    package func isOn(_ other: Descriptor) -> Bool {
        if let descriptor, descriptor.isSame(as: other) { return true }
        return otherDescriptor.map { $0.isSame(as: other) } ?? false
    }

    /// Whether its completion is a *message*, which a peer causes: the operation is a wait, but neither for the clock
    /// nor for room to write.
    @inline(__always)
    var isMessage: Bool {
        let traits = traits
        guard traits.isWait else { return false }
        return switch traits.awaits {
        case .descriptor(.reading)?, .descriptor(.polling)?, .wakeUp?: true
        case .descriptor(.writing)?, .clock?, nil: false
        }
    }

    /// Whether the operation writes through the page cache without O_DSYNC or O_SYNC semantics.
    public var isBufferedWrite: Bool {
        guard let transfer, transfer.isWrite else { return false }
        return transfer.descriptor.kind == .buffered && transfer.flags.isDisjoint(with: [.sync, .dataSync])
    }

    /// Whether another party determines how long the operation may occupy a worker.
    @inline(__always)
    var mayWaitForOthers: Bool {
        let traits = traits
        guard let descriptor = traits.descriptor, descriptor.backing == .remote, traits.interest != .polling else {
            return false
        }
        // A stream is read only once it is readable.
        return descriptor.kind != .stream || isWrite
    }

    var isConnect: Bool {
        if case .socket(.connect) = self { true } else { false }
    }

    /// Whether retrying at intervals is the only option after EAGAIN (`SocketCall.isPacedByTime`).
    var isPacedByTime: Bool {
        if case .socket(let call) = self { call.isPacedByTime } else { false }
    }
}

extension Transfer {
    @inline(__always)
    var isWholeWrite: Bool { form.isSuperset(of: [.writing, .whole]) }
}

extension SocketCall {
    /// The socket; nil for `create`.
    public var descriptor: Descriptor? { traits.descriptor }

    /// Whether the call polls before its first attempt.
    var waitsFirst: Bool {
        switch self {
        case .receive(_, _, _, _, let waitsFirst), .send(_, _, _, _, let waitsFirst),
            .receiveMessage(_, _, _, let waitsFirst), .sendMessage(_, _, _, let waitsFirst):
            waitsFirst
        case .create, .bind, .listen, .accept, .acceptEach, .connect, .receiveBuffered, .sendZeroCopy, .shutdown: false
        }
    }

    /// Whether the call may look up a path in a file system, which may block.
    var isForWorker: Bool {
        if case .bind(_, let address, _) = self { Self.isUnixDomain(address) } else { isPacedByTime }
    }

    /// Whether readiness of the socket does not tell when to retry. EAGAIN then means a full backlog of a Unix-domain
    /// listener, or a full receive buffer of a Unix-domain datagram peer that the socket is not connected to.
    var isPacedByTime: Bool {
        switch self {
        case .connect(_, let address, _): Self.isUnixDomain(address)
        case .sendMessage(_, let message, _, _): message.pointee.name.map { Self.isUnixDomain($0) } ?? false
        case .create, .bind, .listen, .accept, .acceptEach, .receive, .receiveBuffered, .receiveMessage, .send,
            .sendZeroCopy, .shutdown:
            false
        }
    }

    /// A socket address starts with its family, 16 bits in native byte order.
    private static func isUnixDomain(_ address: UnsafeRawPointer) -> Bool {
        address.loadUnaligned(as: UInt16.self) == UInt16(CK_AF_UNIX)
    }

    /// The flags that are passed to the kernel.
    static func sendFlags(_ flags: Int32) -> Int32 { receiveFlags(flags) | CK_MSG_NOSIGNAL }
    static func receiveFlags(_ flags: Int32) -> Int32 { flags & ~CK_MSG_WAITALL }
}
