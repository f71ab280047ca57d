public import CKernel

/// One operation on sockets as a value: what `Operation.socket` carries.
///
/// Addresses and messages are the kernel's structures; what they and the buffers lie in is borrowed until the
/// completion is drained. Calls that wait do so whether or not the socket has O_NONBLOCK, and hold no worker meanwhile;
/// MSG_DONTWAIT makes one complete with EAGAIN instead. MSG_WAITALL is not heeded: transfers may be short.
public enum SocketCall: BitwiseCopyable, @unchecked Sendable {
    // @unchecked: the pointers are handed over with the operation, as in `Operation`. No case is larger than a
    // `Transfer`, so that operations are no larger for them.

    /// socket(2). Completes with the descriptor, which the caller then owns. `type` may have SOCK_CLOEXEC and
    /// SOCK_NONBLOCK in it.
    case create(domain: Int32, type: Int32, protocol: Int32)
    /// bind(2).
    case bind(Descriptor, address: UnsafeRawPointer, count: UInt32)
    /// listen(2).
    case listen(Descriptor, backlog: Int32)
    /// accept4(2). Completes with the new descriptor, which the caller then owns: also when a cancel was asked for that
    /// came too late, as with `Operation.open`. `count` is the room at `address`, and then what the address takes.
    case accept(
        Descriptor, address: UnsafeMutableRawPointer?, count: UnsafeMutablePointer<UInt32>?, flags: Int32)
    /// Repeating: accept4(2) of one connection after the other.
    case acceptEach(Descriptor, flags: Int32)
    /// connect(2). Completes with 0 when the connection stands. A cancelled one may still come to stand: close the
    /// socket.
    case connect(Descriptor, address: UnsafeRawPointer, count: UInt32)
    /// recv(2). Completes with the bytes received; 0 is the end of a stream.
    case receive(Descriptor, UnsafeMutableRawPointer?, count: Int, flags: Int32)
    /// recv(2) into a buffer of a group (`Operation.buffers`), which is taken when there is something to receive; which one
    /// it was, `CompletionFlags.buffer` tells. Completes with the bytes; 0 is the end, and then there is no buffer. ENOBUFS
    /// if there is something to receive and no buffer is free. Repeating, if it is said to be. Nothing is said about the
    /// order of several on one socket.
    case receiveBuffered(Descriptor, group: UInt16, flags: Int32, isRepeating: Bool)
    /// send(2), never with SIGPIPE. Completes with the bytes sent, which may be fewer.
    case send(Descriptor, UnsafeRawPointer?, count: Int, flags: Int32)
    /// As `send`; but a ring (6.0) sends from the bytes where they lie, and completes when it is done with them. For what
    /// is large: the second answer of the kernel's costs more than a small copy.
    case sendZeroCopy(Descriptor, UnsafeRawPointer?, count: Int, flags: Int32)
    /// recvmsg(2): with the sender's address, control messages, into several buffers. Completes with the bytes.
    case receiveMessage(Descriptor, UnsafeMutablePointer<ck_message>, flags: Int32)
    /// sendmsg(2), never with SIGPIPE: to an address, with control messages, from several buffers.
    case sendMessage(Descriptor, UnsafePointer<ck_message>, flags: Int32)
    /// shutdown(2). `how` is its SHUT_ value.
    case shutdown(Descriptor, how: Int32)
}

extension SocketCall {
    /// In the flags of a receive or send, and not the kernel's: it was tried a moment ago in vain, or would be, so it waits
    /// before it is tried.
    public static var waitsFirst: Int32 { .min }

    /// Whether it is so.
    var waitsFirst: Bool {
        switch self {
        case .receive(_, _, _, let flags), .send(_, _, _, let flags), .receiveMessage(_, _, let flags),
            .sendMessage(_, _, let flags):
            flags & Self.waitsFirst != 0
        default: false
        }
    }

    /// nil for `create`.
    public var descriptor: Descriptor? {
        switch self {
        case .create: nil
        case .bind(let socket, _, _), .listen(let socket, _), .accept(let socket, _, _, _),
            .connect(let socket, _, _), .receive(let socket, _, _, _), .send(let socket, _, _, _),
            .receiveMessage(let socket, _, _), .sendMessage(let socket, _, _), .shutdown(let socket, _),
            .acceptEach(let socket, _), .receiveBuffered(let socket, _, _, _), .sendZeroCopy(let socket, _, _, _):
            socket
        }
    }

    /// The same call on another socket.
    func on(_ other: Descriptor) -> SocketCall {
        switch self {
        case .create: self
        case .bind(_, let address, let count): .bind(other, address: address, count: count)
        case .listen(_, let backlog): .listen(other, backlog: backlog)
        case .accept(_, let address, let count, let flags):
            .accept(other, address: address, count: count, flags: flags)
        case .acceptEach(_, let flags): .acceptEach(other, flags: flags)
        case .connect(_, let address, let count): .connect(other, address: address, count: count)
        case .receive(_, let buffer, let count, let flags): .receive(other, buffer, count: count, flags: flags)
        case .receiveBuffered(_, let group, let flags, let isRepeating):
            .receiveBuffered(other, group: group, flags: flags, isRepeating: isRepeating)
        case .send(_, let bytes, let count, let flags): .send(other, bytes, count: count, flags: flags)
        case .sendZeroCopy(_, let bytes, let count, let flags):
            .sendZeroCopy(other, bytes, count: count, flags: flags)
        case .receiveMessage(_, let message, let flags): .receiveMessage(other, message, flags: flags)
        case .sendMessage(_, let message, let flags): .sendMessage(other, message, flags: flags)
        case .shutdown(_, let how): .shutdown(other, how: how)
        }
    }

    /// What the call waits for; nil if it does not wait.
    var interest: PollSet.Interest? {
        switch self {
        case .create, .bind, .listen, .shutdown: nil
        case .accept, .acceptEach, .receive, .receiveBuffered, .receiveMessage: .reading
        case .connect, .send, .sendZeroCopy, .sendMessage: .writing
        }
    }

    /// Whether it is to say EAGAIN rather than wait.
    var isWithoutWaiting: Bool {
        switch self {
        case .receive(_, _, _, let flags), .send(_, _, _, let flags), .receiveMessage(_, _, let flags),
            .sendMessage(_, _, let flags), .receiveBuffered(_, _, let flags, _),
            .sendZeroCopy(_, _, _, let flags):
            flags & CK_MSG_DONTWAIT != 0
        case .create, .bind, .listen, .accept, .acceptEach, .connect, .shutdown: false
        }
    }

    /// Whether it looks names up in a file system, or may: that can take its time.
    var isForWorker: Bool {
        switch self {
        case .bind(_, let address, _): Self.isUnixDomain(address)
        default: isPacedByTime
        }
    }

    /// Whether no poll tells when it can go on: a Unix-domain listener without room is found so by trying again, and so is
    /// a receiver of datagrams that the socket is not connected to.
    var isPacedByTime: Bool {
        switch self {
        case .connect(_, let address, _): Self.isUnixDomain(address)
        case .sendMessage(_, let message, _): message.pointee.name.map { Self.isUnixDomain($0) } ?? false
        default: false
        }
    }

    /// An address begins with its family, 16 bits in the machine's order.
    private static func isUnixDomain(_ address: UnsafeRawPointer) -> Bool {
        address.loadUnaligned(as: UInt16.self) == UInt16(CK_AF_UNIX)
    }

    /// The flags as the kernel gets them.
    static func sendFlags(_ flags: Int32) -> Int32 { receiveFlags(flags) | CK_MSG_NOSIGNAL }
    static func receiveFlags(_ flags: Int32) -> Int32 { flags & ~(CK_MSG_WAITALL | waitsFirst) }
}

extension SocketCall {
    /// The call on this thread, without waiting for another party: EAGAIN where it would, EINPROGRESS from a connect
    /// that has begun. An accept alone waits, on a socket without O_NONBLOCK, if somebody else takes the connection
    /// that there was a moment ago: that is a worker's (`StreamAttempt.needsWorker`).
    func attempt() -> Int {
        switch self {
        case .create(let domain, let type, let number):
            return Kernel.socket(domain, type, number)
        case .bind(let socket, let address, let count):
            return Kernel.bind(socket.number, address, count)
        case .listen(let socket, let backlog):
            return Kernel.listen(socket.number, backlog)
        case .accept(let socket, let address, let count, let flags):
            return Self.accept(socket.number, address, count, flags)
        case .connect(let socket, let address, let count):
            return Kernel.connectWithoutWaiting(socket.number, address, count)
        case .receive(let socket, let buffer, let count, let flags):
            return Kernel.receive(socket.number, buffer, count, Self.receiveFlags(flags) | CK_MSG_DONTWAIT)
        case .send(let socket, let bytes, let count, let flags),
            .sendZeroCopy(let socket, let bytes, let count, let flags):
            return Kernel.send(socket.number, bytes, count, Self.sendFlags(flags) | CK_MSG_DONTWAIT)
        case .receiveMessage(let socket, let message, let flags):
            return Kernel.receiveMessage(socket.number, message, Self.receiveFlags(flags) | CK_MSG_DONTWAIT)
        case .sendMessage(let socket, let message, let flags):
            return Kernel.sendMessage(socket.number, message, Self.sendFlags(flags) | CK_MSG_DONTWAIT)
        case .shutdown(let socket, let how):
            return Kernel.shutdown(socket.number, how)
        case .acceptEach, .receiveBuffered:
            // The queue makes single steps of these.
            return -Int(EINVAL)
        }
    }

    private static func accept(
        _ socket: Int32, _ address: UnsafeMutableRawPointer?, _ count: UnsafeMutablePointer<UInt32>?, _ flags: Int32
    ) -> Int {
        guard !mayBlock(accepting: socket) || Kernel.readyEvents(socket, CK_POLLIN) != 0 else { return -Int(EAGAIN) }
        return Kernel.accept4(socket, address, count, flags)
    }

    /// Whether accept4(2) waits on this descriptor when there is no connection. What does not listen is refused at once.
    static func mayBlock(accepting socket: Int32) -> Bool {
        let flags = Kernel.openFlags(socket)
        return flags >= 0 && flags & Int(CK_O_NONBLOCK) == 0 && Kernel.isListening(socket)
    }
}
