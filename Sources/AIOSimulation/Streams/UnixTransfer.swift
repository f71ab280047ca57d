internal import AIOCore
internal import CKernel

extension UnixSocket {
    func sendBytes(_ source: inout WriteSource, flags: Int32, to name: UnsafeRawBufferPointer?) -> Int {
        switch type {
        case CK_SOCK_STREAM: return sendStream(&source, flags: flags, hasName: name != nil)
        case CK_SOCK_SEQPACKET:
            let error = takeError()
            guard error == 0 else { return error }
            guard state == .connected else { return -Int(ENOTCONN) }
            return sendDatagram(&source, flags: flags, to: nil)
        default: return sendDatagram(&source, flags: flags, to: name)
        }
    }

    /// Whether a message may be allocated (sock_alloc_send_pskb): nil if so, otherwise the call's result.
    private func allocation(_ flags: Int32) -> Int? {
        let error = takeError()
        guard error == 0 else { return error }
        guard !isSendingShut else { return -Int(EPIPE) }
        guard writeMemory < options.sendBuffer else { return blocked(flags.isWithoutWaiting) }
        return nil
    }

    /// unix_stream_sendmsg.
    private func sendStream(_ source: inout WriteSource, flags: Int32, hasName: Bool) -> Int {
        guard !hasName else { return -Int(state == .connected ? EISCONN : EOPNOTSUPP) }
        guard let peer else { return -Int(ENOTCONN) }
        guard !isSendingShut else { return -Int(EPIPE) }
        var sent = 0
        while source.remaining > 0 {
            if let result = allocation(flags) { return sent > 0 ? sent : result }
            guard !peer.isDead, !peer.isReceivingShut else { return sent > 0 ? sent : -Int(EPIPE) }
            let count = min(source.remaining, options.sendBuffer >> 1 - 64, SocketMemory.streamMax)
            sent += count
            deliver(source.take(count), to: peer, memory: SocketMemory.ofStream(count))
        }
        return sent
    }

    private func deliver(_ bytes: [UInt8], to other: UnixSocket, memory: Int) {
        writeMemory += memory
        other.queue.append(Message(bytes: bytes, sender: self, memory: memory))
        other.readinessChanged()
    }

    /// unix_dgram_sendmsg.
    private func sendDatagram(_ source: inout WriteSource, flags: Int32, to name: UnsafeRawBufferPointer?) -> Int {
        var address: [UInt8]?
        if let name {
            guard let bytes = UnixName.parse(name) else { return -Int(EINVAL) }
            address = bytes
        }
        guard source.remaining <= options.sendBuffer - 32 else { return -Int(EMSGSIZE) }
        if let result = allocation(flags) { return result }
        var other = peer
        if let address {
            let found = UnixName.find(address, for: self)
            guard found.result == 0 else { return found.result }
            other = found.socket
        }
        guard let other else { return -Int(ENOTCONN) }
        guard other.mayReceive(from: self) else { return -Int(EPERM) }
        guard !other.isDead else { return lostPeer() }
        guard !other.isReceivingShut else { return -Int(EPIPE) }
        if other !== self, other.peer !== self, other.isQueueFull {
            return flags.isWithoutWaiting || isNonBlocking ? -Int(EAGAIN) : other.blocked()
        }
        let count = source.remaining
        deliver(source.take(count), to: other, memory: SocketMemory.ofDatagram(count))
        return count
    }

    /// The peer has been closed.
    private func lostPeer() -> Int {
        guard !isConnectionBased else { return -Int(EPIPE) }
        peer = nil
        state = .unconnected
        dropQueue()
        readinessChanged()
        return -Int(ECONNREFUSED)
    }

    // MARK: Receiving

    func receiveBytes(_ target: inout ReadTarget, flags: Int32) -> Received {
        isStream ? receiveStream(&target, flags: flags) : receiveDatagram(&target, flags: flags)
    }

    /// unix_stream_read_generic.
    private func receiveStream(_ target: inout ReadTarget, flags: Int32) -> Received {
        guard state == .connected else { return Received(result: -Int(EINVAL)) }
        guard !queue.isEmpty else {
            let error = takeError()
            guard error == 0, !isReceivingShut else { return Received(result: error) }
            return Received(result: blocked(flags.isWithoutWaiting))
        }
        let isBlocking = !flags.isWithoutWaiting && !isNonBlocking
        let available = queue.reduce(0) { $0 + $1.count }
        // A call that waits for all of it takes nothing before; but not if the sender has no room for the rest.
        if isBlocking, flags.isWaitingForAll, available < target.room, !isReceivingShut, pendingError == 0,
            let peer, peer.writeMemory < peer.options.sendBuffer
        {
            return Received(result: blocked())
        }
        let name = queue[0].senderName
        let count = flags.isPeek ? peek(&target) : take(&target)
        // A call that waits for more meets the error, which is lost beside the count.
        if flags.isWaitingForAll, target.room > 0 { _ = takeError() }
        return Received(result: count, name: name)
    }

    /// Takes bytes, and returns the memory of what is received completely to its sender.
    private func take(_ target: inout ReadTarget) -> Int {
        var count = 0
        while let message = queue.first {
            let copied = message.bytes.withUnsafeBytes {
                target.put(UnsafeRawBufferPointer(rebasing: $0[message.start...]))
            }
            count += copied
            queue[0].start += copied
            guard queue[0].count == 0 else { break }
            queue.removeFirst()
            message.sender.free(message.memory)
        }
        return count
    }

    private func peek(_ target: inout ReadTarget) -> Int {
        queue.reduce(0) { count, message in
            count + message.bytes.withUnsafeBytes { target.put(UnsafeRawBufferPointer(rebasing: $0[message.start...])) }
        }
    }

    /// unix_dgram_recvmsg and unix_seqpacket_recvmsg.
    private func receiveDatagram(_ target: inout ReadTarget, flags: Int32) -> Received {
        if isConnectionBased, state != .connected { return Received(result: -Int(ENOTCONN)) }
        let error = takeError()
        guard error == 0 else { return Received(result: error) }
        guard let message = queue.first else {
            let isWaiting = !flags.isWithoutWaiting && !isNonBlocking
            // A datagram socket's end is seen by a call that waits alone.
            if isReceivingShut, isConnectionBased || isWaiting { return Received(result: 0) }
            return Received(result: blocked(flags.isWithoutWaiting))
        }
        let received = Datagram(bytes: message.bytes, sender: message.senderName).receive(into: &target, flags: flags)
        if !flags.isPeek {
            queue.removeFirst()
            message.sender.free(message.memory)
            readinessChanged()
            wakeFollowers()
        }
        return received
    }
}

/// The memory that the kernel accounts for a message of so many bytes (skb->truesize, on x86-64 with 4 KiB pages): it
/// decides how much a sender can send without a reader.
enum SocketMemory {
    private static let pageSize = 4096
    private static let sharedInfo = 320
    private static let descriptor = 256
    /// SKB_MAX_HEAD(0): the bytes in one page beside skb_shared_info.
    private static let headMax = pageSize - sharedInfo
    /// SKB_MAX_ALLOC: the same for an allocation of four pages.
    private static let allocationMax = 4 * pageSize - sharedInfo
    private static let fragmentsMax = 17 * pageSize

    /// The largest message of a stream.
    static let streamMax = headMax + 32768

    static func ofStream(_ count: Int) -> Int { total(count, fragments: max(0, count - headMax)) }

    static func ofDatagram(_ count: Int) -> Int {
        total(count, fragments: count > allocationMax ? min(count - allocationMax, fragmentsMax) : 0)
    }

    private static func total(_ count: Int, fragments: Int) -> Int {
        let pages = (fragments + pageSize - 1) / pageSize * pageSize
        let head = (max(0, count - pages) + 63) / 64 * 64 + sharedInfo
        var allocated = 512
        while allocated < head { allocated *= 2 }
        return allocated + descriptor + pages
    }
}
