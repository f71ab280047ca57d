public import CKernel

/// Sockets. Addresses are the kernel's sockaddr structures, as pointer and byte count.
extension Kernel {
    /// socket(2). `type` may include SOCK_CLOEXEC and SOCK_NONBLOCK.
    public static func socket(_ domain: Int32, _ type: Int32, _ protocolNumber: Int32) -> Int {
        call(CK_NR_socket, Int(domain), Int(type), Int(protocolNumber))
    }

    /// socketpair(2).
    public static func socketPair(
        _ domain: Int32, _ type: Int32, _ protocolNumber: Int32, _ pair: UnsafeMutablePointer<(Int32, Int32)>
    ) -> Int {
        call(CK_NR_socketpair, Int(domain), Int(type), Int(protocolNumber), address(pair))
    }

    /// bind(2).
    public static func bind(_ socket: Int32, _ name: UnsafeRawPointer, _ count: UInt32) -> Int {
        call(CK_NR_bind, Int(socket), address(name), Int(count))
    }

    /// listen(2).
    public static func listen(_ socket: Int32, _ backlog: Int32) -> Int {
        call(CK_NR_listen, Int(socket), Int(backlog))
    }

    /// accept4(2).
    public static func accept4(
        _ socket: Int32, _ name: UnsafeMutableRawPointer?, _ count: UnsafeMutablePointer<UInt32>?, _ flags: Int32
    ) -> Int {
        call(CK_NR_accept4, Int(socket), address(name), address(count), Int(flags))
    }

    /// connect(2).
    public static func connect(_ socket: Int32, _ name: UnsafeRawPointer, _ count: UInt32) -> Int {
        call(CK_NR_connect, Int(socket), address(name), Int(count))
    }

    /// connect(2) as on a non-blocking socket: EINPROGRESS if it would block, and EAGAIN if the backlog of a
    /// Unix-domain listener is full. The system call has no flag for this, so O_NONBLOCK is set meanwhile; nobody else
    /// uses the socket before it is connected.
    static func connectWithoutWaiting(_ socket: Int32, _ name: UnsafeRawPointer, _ count: UInt32) -> Int {
        let flags = openFlags(socket)
        guard flags >= 0 else { return flags }
        guard flags & Int(CK_O_NONBLOCK) == 0 else { return connect(socket, name, count) }
        setOpenFlags(socket, flags | Int(CK_O_NONBLOCK))
        defer { setOpenFlags(socket, flags) }
        return connect(socket, name, count)
    }

    /// getsockopt(2). `count` is the size of `value`, and is set to the size written.
    public static func option(
        _ socket: Int32, _ level: Int32, _ name: Int32, _ value: UnsafeMutableRawPointer,
        _ count: UnsafeMutablePointer<UInt32>
    ) -> Int {
        call(CK_NR_getsockopt, Int(socket), Int(level), Int(name), address(value), address(count))
    }

    /// setsockopt(2).
    public static func setOption(
        _ socket: Int32, _ level: Int32, _ name: Int32, _ value: UnsafeRawPointer, _ count: UInt32
    ) -> Int {
        call(CK_NR_setsockopt, Int(socket), Int(level), Int(name), address(value), Int(count))
    }

    /// getsockopt(2) of SO_ACCEPTCONN. False if it is not a socket.
    static func isListening(_ socket: Int32) -> Bool {
        var value: Int32 = 0
        var count = UInt32(MemoryLayout<Int32>.size)
        return option(socket, CK_SOL_SOCKET, CK_SO_ACCEPTCONN, &value, &count) == 0 && value != 0
    }

    /// getsockname(2).
    public static func localName(
        _ socket: Int32, _ name: UnsafeMutableRawPointer, _ count: UnsafeMutablePointer<UInt32>
    ) -> Int {
        call(CK_NR_getsockname, Int(socket), address(name), address(count))
    }

    /// getpeername(2).
    public static func peerName(
        _ socket: Int32, _ name: UnsafeMutableRawPointer, _ count: UnsafeMutablePointer<UInt32>
    ) -> Int {
        call(CK_NR_getpeername, Int(socket), address(name), address(count))
    }

    /// shutdown(2).
    public static func shutdown(_ socket: Int32, _ how: Int32) -> Int {
        call(CK_NR_shutdown, Int(socket), Int(how))
    }

    /// sendto(2), to an address or, with nil, to the peer.
    public static func send(
        _ socket: Int32, _ bytes: UnsafeRawPointer?, _ count: Int, _ flags: Int32, to name: UnsafeRawPointer? = nil,
        _ nameCount: UInt32 = 0
    ) -> Int {
        call(CK_NR_sendto, Int(socket), address(bytes), count, Int(flags), address(name), Int(nameCount))
    }

    /// recvfrom(2).
    public static func receive(
        _ socket: Int32, _ buffer: UnsafeMutableRawPointer?, _ count: Int, _ flags: Int32,
        from name: UnsafeMutableRawPointer? = nil, _ nameCount: UnsafeMutablePointer<UInt32>? = nil
    ) -> Int {
        call(CK_NR_recvfrom, Int(socket), address(buffer), count, Int(flags), address(name), address(nameCount))
    }

    /// sendmsg(2).
    public static func sendMessage(_ socket: Int32, _ message: UnsafePointer<ck_message>, _ flags: Int32) -> Int {
        call(CK_NR_sendmsg, Int(socket), address(message), Int(flags))
    }

    /// recvmsg(2).
    public static func receiveMessage(
        _ socket: Int32, _ message: UnsafeMutablePointer<ck_message>, _ flags: Int32
    ) -> Int {
        call(CK_NR_recvmsg, Int(socket), address(message), Int(flags))
    }

    /// ppoll(2) without waiting: which of `events`, and of errors and hang-ups, hold.
    public static func readyEvents(_ descriptor: Int32, _ events: UInt32) -> UInt32 {
        var entry = ck_pollfd(
            descriptor: descriptor, events: Int16(truncatingIfNeeded: events), returned: 0)
        var zero = ck_timespec()
        return ppoll(&entry, 1, &zero) > 0 ? UInt32(UInt16(bitPattern: entry.returned)) : 0
    }
}
