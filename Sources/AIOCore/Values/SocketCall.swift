public import CKernel

/// One operation on a socket, as a plain value: the argument of ``Operation/socket(_:)``.
///
/// Addresses and messages are the kernel's structures. They and the buffers are borrowed until the completion is
/// drained. A call that would block waits, whether or not the socket has O_NONBLOCK, without occupying a worker; with
/// MSG_DONTWAIT it completes with EAGAIN instead. MSG_WAITALL is ignored: transfers may be short. With `waitsFirst`, a
/// receive or send polls before its first attempt, which the caller expects to fail with EAGAIN.
public enum SocketCall: BitwiseCopyable, @unchecked Sendable {
    // @unchecked: the pointers are handed over with the operation, as in `Operation`. No case is larger than a
    // `Transfer`, which keeps operations small.

    /// socket(2). Completes with the descriptor, which the caller then owns. `type` may include SOCK_CLOEXEC and
    /// SOCK_NONBLOCK.
    case create(domain: Int32, type: Int32, protocol: Int32)
    /// bind(2).
    case bind(Descriptor, address: UnsafeRawPointer, count: UInt32)
    /// listen(2).
    case listen(Descriptor, backlog: Int32)
    /// accept4(2). Completes with the new descriptor, which the caller then owns, also if a cancel came too late.
    /// `count` is the room at `address`, and is set to the length of the address.
    case accept(
        Descriptor, address: UnsafeMutableRawPointer?, count: UnsafeMutablePointer<UInt32>?, flags: Int32)
    /// Repeating: accept4(2), one connection per completion.
    case acceptEach(Descriptor, flags: Int32)
    /// connect(2). Completes with 0 when the connection is established. After a cancel it may still be established:
    /// close the socket.
    case connect(Descriptor, address: UnsafeRawPointer, count: UInt32)
    /// recv(2). Completes with the bytes received; 0 is the end of a stream.
    case receive(Descriptor, UnsafeMutableRawPointer?, count: Int, flags: Int32, waitsFirst: Bool = false)
    /// recv(2) into a buffer of a group (``Operation/buffers(_:)``), taken once there is data;
    /// ``CompletionFlags/buffer`` names it. Completes with the bytes received; 0 is the end of the stream, which has no
    /// buffer. ENOBUFS if there is data and no buffer is free. Repeating if `isRepeating`. The order of several on one
    /// socket is unspecified.
    case receiveBuffered(Descriptor, group: UInt16, flags: Int32, isRepeating: Bool)
    /// send(2), with MSG_NOSIGNAL. Completes with the bytes sent, which may be fewer than requested.
    case send(Descriptor, UnsafeRawPointer?, count: Int, flags: Int32, waitsFirst: Bool = false)
    /// send(2), with MSG_NOSIGNAL. A ring (6.0) sends from the caller's memory without copying it, and completes once
    /// the kernel is done with it; other engines copy. Completes with the bytes sent, which may be fewer than
    /// requested. Worthwhile for large sends only: the second notification costs more than a small copy.
    case sendZeroCopy(Descriptor, UnsafeRawPointer?, count: Int, flags: Int32)
    /// recvmsg(2): receives the sender's address and control messages, into several buffers. Completes with the bytes
    /// received.
    case receiveMessage(Descriptor, UnsafeMutablePointer<ck_message>, flags: Int32, waitsFirst: Bool = false)
    /// sendmsg(2), with MSG_NOSIGNAL: sends to an address, with control messages, from several buffers. Completes with
    /// the bytes sent.
    case sendMessage(Descriptor, UnsafePointer<ck_message>, flags: Int32, waitsFirst: Bool = false)
    /// shutdown(2). `how` is its SHUT_ value.
    case shutdown(Descriptor, how: Int32)
}
