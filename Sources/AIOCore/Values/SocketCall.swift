public import CKernel

/// One operation on sockets as a value: what `Operation.socket` carries.
///
/// Addresses and messages are the kernel's structures; what they and the buffers lie in is borrowed until the
/// completion is drained. Calls that wait do so whether or not the socket has O_NONBLOCK, and hold no worker meanwhile;
/// MSG_DONTWAIT makes one complete with EAGAIN instead. MSG_WAITALL is not heeded: transfers may be short. A receive or
/// send that `waitsFirst` was tried a moment ago in vain, or would be, so it waits before it is tried.
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
    case receive(Descriptor, UnsafeMutableRawPointer?, count: Int, flags: Int32, waitsFirst: Bool = false)
    /// recv(2) into a buffer of a group (`Operation.buffers`), which is taken when there is something to receive; which one
    /// it was, `CompletionFlags.buffer` tells. Completes with the bytes; 0 is the end, and then there is no buffer. ENOBUFS
    /// if there is something to receive and no buffer is free. Repeating, if it is said to be. Nothing is said about the
    /// order of several on one socket.
    case receiveBuffered(Descriptor, group: UInt16, flags: Int32, isRepeating: Bool)
    /// send(2), never with SIGPIPE. Completes with the bytes sent, which may be fewer.
    case send(Descriptor, UnsafeRawPointer?, count: Int, flags: Int32, waitsFirst: Bool = false)
    /// As `send`; but a ring (6.0) sends from the bytes where they lie, and completes when it is done with them. For what
    /// is large: the second answer of the kernel's costs more than a small copy.
    case sendZeroCopy(Descriptor, UnsafeRawPointer?, count: Int, flags: Int32)
    /// recvmsg(2): with the sender's address, control messages, into several buffers. Completes with the bytes.
    case receiveMessage(Descriptor, UnsafeMutablePointer<ck_message>, flags: Int32, waitsFirst: Bool = false)
    /// sendmsg(2), never with SIGPIPE: to an address, with control messages, from several buffers.
    case sendMessage(Descriptor, UnsafePointer<ck_message>, flags: Int32, waitsFirst: Bool = false)
    /// shutdown(2). `how` is its SHUT_ value.
    case shutdown(Descriptor, how: Int32)
}
