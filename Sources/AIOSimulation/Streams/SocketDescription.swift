internal import AIOCore
internal import CKernel

/// What a receive returns beside the bytes.
struct Received {
    /// The count, or a negative errno.
    var result: Int
    /// The sender's address as a sockaddr; empty if there is none.
    var name: [UInt8] = []
    /// MSG_TRUNC, if the end of the message is lost.
    var flags: Int32 = 0
}

/// A socket. Subclasses for Unix-domain sockets, TCP and UDP.
class SocketDescription: StreamDescription {
    let domain: Int32
    let type: Int32
    let protocolNumber: Int32
    var options = SocketOptions()
    /// sk_err: what SO_ERROR reports, and the next call that looks for it. A positive errno.
    private(set) var pendingError: Int32 = 0
    /// sk_shutdown.
    var isReceivingShut = false
    var isSendingShut = false

    init(_ kernel: SimulatedKernel, domain: Int32, type: Int32, protocolNumber: Int32, flags: UInt64) {
        (self.domain, self.type, self.protocolNumber) = (domain, type, protocolNumber)
        super.init(kernel, flags: flags | CK_O_RDWR)
    }

    override var fileType: UInt16 { CK_S_IFSOCK }

    func bind(_ name: UnsafeRawBufferPointer) -> Int { -Int(EOPNOTSUPP) }
    func connect(_ name: UnsafeRawBufferPointer) -> Int { -Int(EOPNOTSUPP) }
    func listen(_ backlog: Int) -> Int { -Int(EOPNOTSUPP) }
    /// The next pending connection: a new description, or a negative errno, or `wouldBlock`.
    func accept(flags: UInt64) -> (result: Int, socket: SocketDescription?) { (-Int(EOPNOTSUPP), nil) }
    /// sendto(2); `name` is nil without an address.
    func send(_ source: inout WriteSource, flags: Int32, to name: UnsafeRawBufferPointer?) -> Int { -Int(EOPNOTSUPP) }
    func receive(_ target: inout ReadTarget, flags: Int32) -> Received { Received(result: -Int(EOPNOTSUPP)) }
    /// shutdown(2) of one direction, or both.
    func shutdown(receiving: Bool, sending: Bool) -> Int { -Int(EOPNOTSUPP) }
    /// getsockname(2): a sockaddr.
    var localName: [UInt8] { [] }
    /// getpeername(2): a sockaddr; nil without a peer.
    var peerName: [UInt8]? { nil }
    /// The peer's name for accept4(2): also of a connection that has been reset meanwhile.
    var acceptedName: [UInt8] { peerName ?? [] }
    /// Whether the socket has a name, or a port.
    var isBound: Bool { false }
    /// SO_ACCEPTCONN.
    var isListening: Bool { false }

    /// setsockopt(2) has changed an option.
    func optionsChanged() {}

    override func read(_ target: inout ReadTarget, withoutWaiting: Bool) -> Int {
        // sock_read_iter: nothing is asked for nothing.
        guard target.room > 0 else { return 0 }
        return receive(&target, flags: withoutWaiting ? CK_MSG_DONTWAIT : 0).result
    }

    override func write(_ source: inout WriteSource, withoutWaiting: Bool) -> Int {
        send(&source, flags: withoutWaiting ? CK_MSG_DONTWAIT : 0, to: nil)
    }

    /// Notes an error for the next call, as sk_error_report does.
    func setError(_ error: Int32) {
        pendingError = error
        readinessChanged()
    }

    /// sock_error: the pending error as a negative errno, which is then no longer pending; 0 for none.
    func takeError() -> Int {
        defer { pendingError = 0 }
        return -Int(pendingError)
    }
}

extension Int32 {
    /// Whether MSG_DONTWAIT is among these flags.
    var isWithoutWaiting: Bool { self & CK_MSG_DONTWAIT != 0 }
    var isPeek: Bool { self & CK_MSG_PEEK != 0 }
    var isWaitingForAll: Bool { self & CK_MSG_WAITALL != 0 && self & CK_MSG_PEEK == 0 }
}

/// A datagram in a receive queue.
struct Datagram {
    let bytes: [UInt8]
    /// The sender as a sockaddr.
    let sender: [UInt8]

    /// Copies what fits. The rest is lost, which MSG_TRUNC reports.
    func receive(into target: inout ReadTarget, flags: Int32) -> Received {
        let copied = bytes.withUnsafeBytes { target.put($0) }
        let isTruncated = copied < bytes.count
        return Received(
            result: flags & CK_MSG_TRUNC != 0 ? bytes.count : copied, name: sender,
            flags: isTruncated ? CK_MSG_TRUNC : 0)
    }
}
