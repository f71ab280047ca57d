public import AIOCore
internal import CKernel

/// A datagram socket: UDP or Unix-domain. A datagram arrives as it was sent or, over UDP, possibly not at all.
///
/// Any number of tasks may send and receive concurrently. Close a socket with ``close()``; one that is dropped without
/// a close is closed in the background and reported in the log.
public final class DatagramSocket: Socket {
    /// The runtime that carries out the socket's operations.
    public let runtime: IORuntime
    let handle: StreamHandle

    init(_ number: Int32, _ address: SocketAddress, _ runtime: IORuntime) {
        self.runtime = runtime
        handle = StreamHandle(Descriptor(number, kind: .stream), "datagram socket", address: address, runtime)
    }

    /// For operations on an ``IOQueue``, or through ``IORuntime/perform(_:deadline:)``. Borrowed: do not close it, and
    /// do not use it after the socket is closed.
    public var descriptor: Descriptor { handle.descriptor }

    /// A socket bound to an address. With port 0, or with ``SocketAddress/unnamed``, the kernel chooses the address,
    /// which ``localAddress()`` returns. A Unix-domain path stays when the socket is closed.
    ///
    /// - `reuseAddress`: several sockets that all set it share an address, which receivers of a multicast group
    ///   require.
    /// - `reusePort`: several sockets that all set it share an address, and each datagram goes to one of them.
    /// - `v6Only`: if false, an IPv6 socket also receives IPv4; nil is the system's default.
    ///
    /// Kernel calls: socket(2), bind(2).
    ///
    /// - Throws: ``IOError/Code/addressInUse``, ``IOError/Code/addressNotAvailable``, ``IOError/Code/permissionDenied``
    ///   for a port below 1024, ``IOError/Code/cancelled``, ``IOError/Code/deadlineExceeded``, or another error of a
    ///   kernel call.
    public static func bind(
        to address: SocketAddress, reuseAddress: Bool = false, reusePort: Bool = false, v6Only: Bool? = nil,
        runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) -> DatagramSocket {
        let number = try SocketSetup.make(address, CK_SOCK_DGRAM, runtime, "bind")
        let socket = DatagramSocket(number, address, runtime)
        do throws(IOError) {
            if reuseAddress { try socket.setOption(.reuseAddress, to: true) }
            if reusePort { try socket.setOption(.reusePort, to: true) }
            if let v6Only, case .v6 = address { try socket.setOption(.v6Only, to: v6Only) }
            try await SocketSetup.bind(socket.handle, address, deadline)
            return socket
        } catch {
            socket.handle.abandon()
            throw error
        }
    }

    /// A socket with a peer: it sends to `address` by default, and receives only from there. `local` is the source
    /// address. A Unix-domain `local` path stays after a success, and is removed after an error. Errors that the
    /// network reports for a datagram are thrown by a later call (``IOError/Code/connectionRefused``). Kernel calls:
    /// socket(2), bind(2), connect(2).
    ///
    /// - Throws: ``IOError/Code/addressInUse`` or ``IOError/Code/addressNotAvailable`` for `local`;
    ///   ``IOError/Code/networkUnreachable`` without a route; for a Unix-domain `address` ``IOError/Code/notFound`` or
    ///   ``IOError/Code/connectionRefused``; or another error of a kernel call.
    public static func connect(
        to address: SocketAddress, from local: SocketAddress? = nil, runtime: IORuntime = .shared,
        deadline: Deadline = .never
    ) async throws(IOError) -> DatagramSocket {
        let number = try SocketSetup.make(address, CK_SOCK_DGRAM, runtime, "connect")
        let socket = DatagramSocket(number, address, runtime)
        var made: SocketFile?
        do throws(IOError) {
            if let local { made = try await SocketSetup.bind(socket.handle, local, deadline) }
            try await socket.connect(to: address, deadline: deadline)
            return socket
        } catch {
            socket.handle.abandon()
            await made?.remove(runtime)
            throw error
        }
    }

    /// Sets the peer: from now on the socket sends to `address` by default, and receives only from there. Nothing is
    /// sent. Kernel call: connect(2).
    ///
    /// - Throws: ``IOError/Code/networkUnreachable`` without a route; for a Unix-domain address
    ///   ``IOError/Code/notFound`` or ``IOError/Code/connectionRefused``; or another error of connect(2).
    public func connect(to address: SocketAddress, deadline: Deadline = .never) async throws(IOError) {
        let target = try AddressMemory(address, for: "connect")
        let call = SocketCall.connect(descriptor, address: target.base, count: target.count)
        _ = try await handle.perform(.socket(call), deadline, "connect")
    }

    // MARK: Groups

    /// Joins a multicast group on the interface of this index; 0 lets the kernel choose. The port of `group` is
    /// ignored. Kernel call: setsockopt(2) with MCAST_JOIN_GROUP.
    ///
    /// - Throws: ``IOError/Code/invalidArgument`` if the address is not multicast; ``IOError/Code/addressInUse`` if the
    ///   socket is in the group already; `ENODEV` (``IOError/errno``) without such an interface.
    public func join(_ group: SocketAddress, interface: UInt32 = 0) throws(IOError) {
        try setGroup(CK_MCAST_JOIN_GROUP, group, interface)
    }

    /// Leaves a multicast group that was joined on the interface of this index; 0 lets the kernel choose. Kernel call:
    /// setsockopt(2) with MCAST_LEAVE_GROUP.
    ///
    /// - Throws: ``IOError/Code/invalidArgument`` if the address is not multicast;
    ///   ``IOError/Code/addressNotAvailable`` if the socket is not in the group.
    public func leave(_ group: SocketAddress, interface: UInt32 = 0) throws(IOError) {
        try setGroup(CK_MCAST_LEAVE_GROUP, group, interface)
    }

    private func setGroup(_ name: Int32, _ group: SocketAddress, _ interface: UInt32) throws(IOError) {
        guard group.isMulticast else {
            let advice = "a multicast group is 224.0.0.0 to 239.255.255.255, or an IPv6 address that begins with ff"
            throw IOError(.invalidArgument, "group", address: "\(group)", advice: advice)
        }
        let memory = try AddressMemory(group, for: "group")
        let padding = [UInt8](repeating: 0, count: MemoryLayout<ck_socket_address>.alignment - 4)
        let address = UnsafeRawBufferPointer(start: memory.base, count: Int(AddressMemory.room))
        // struct group_req: the interface index, and the address at its alignment.
        let request = withUnsafeBytes(of: interface) { Array($0) } + padding + Array(address)
        try setRawOption(level: group.family == CK_AF_INET ? CK_IPPROTO_IP : CK_IPPROTO_IPV6, name: name, to: request)
    }

    // MARK: Address, options, close

    /// Ends the operations that wait on the socket, which throw ``IOError/Code/fileClosed``, and closes it when the
    /// last of them has ended. A close is never cancelled. Kernel call: close(2).
    ///
    /// - Throws: ``IOError/Code/fileClosed`` if it is closed already.
    public func close() async throws(IOError) { try await handle.close() }

    /// The local address, including the port or name that the kernel chose. Kernel call: getsockname(2).
    public func localAddress() throws(IOError) -> SocketAddress { try handle.localAddress() }
    /// The value of an option, at most `capacity` bytes of it. Kernel call: getsockopt(2).
    public func rawOption(level: Int32, name: Int32, capacity: Int = 4) throws(IOError) -> [UInt8] {
        try handle.rawOption(level, name, capacity)
    }
    /// Sets an option to these bytes. Kernel call: setsockopt(2).
    public func setRawOption(level: Int32, name: Int32, to bytes: [UInt8]) throws(IOError) {
        try handle.setRawOption(level, name, bytes)
    }
}

extension SocketAddress {
    /// Whether the address is a multicast group.
    public var isMulticast: Bool {
        switch self {
        case .v4(let address, _): address.isMulticast
        case .v6(let address, _, _): address.isMulticast
        case .unix, .abstract, .unnamed: false
        }
    }
}
