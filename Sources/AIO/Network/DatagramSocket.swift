public import AIOCore
internal import CKernel

/// A socket for datagrams: UDP, or a Unix-domain socket of that kind. Each arrives as it was sent, or (UDP) not at all.
///
/// Any number of tasks may send and receive at once. `close` it; one that is dropped unclosed is closed in the background
/// and reported in the log.
public final class DatagramSocket: Socket {
    public let runtime: IORuntime
    let handle: StreamHandle

    init(_ number: Int32, _ address: SocketAddress, _ runtime: IORuntime) {
        self.runtime = runtime
        handle = StreamHandle(Descriptor(number, kind: .stream), "datagram socket", address: address, runtime)
    }

    /// Borrowed, as `Connection.descriptor`.
    public var descriptor: Descriptor { handle.descriptor }

    /// A socket with this address, where it receives; with port 0, or `unnamed`, one that the kernel chooses and
    /// `localAddress` tells. The options are as for `Listener.listen`; `reuseAddress` lets several sockets have one
    /// address, as receivers of a group want it. Throws what socket(2) and bind(2) say.
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

    /// A socket that sends to `address` if it is not told otherwise, and receives from there alone; with `local`, from an
    /// address of its own. Errors that the network reports come with a later call (`connectionRefused`).
    public static func connect(
        to address: SocketAddress, from local: SocketAddress? = nil, runtime: IORuntime = .shared,
        deadline: Deadline = .never
    ) async throws(IOError) -> DatagramSocket {
        let number = try SocketSetup.make(address, CK_SOCK_DGRAM, runtime, "connect")
        let socket = DatagramSocket(number, address, runtime)
        do throws(IOError) {
            if let local { try await SocketSetup.bind(socket.handle, local, deadline) }
            try await socket.connect(to: address, deadline: deadline)
            return socket
        } catch {
            socket.handle.abandon()
            throw error
        }
    }

    /// From now on sends to `address` if it is not told otherwise, and receives from there alone. connect(2).
    public func connect(to address: SocketAddress, deadline: Deadline = .never) async throws(IOError) {
        let target = try AddressMemory(address, for: "connect")
        let call = SocketCall.connect(descriptor, address: target.base, count: target.count)
        _ = try await handle.perform(.socket(call), deadline, "connect")
    }

    // MARK: Groups

    /// Receives from now on what is sent to a multicast group (its port does not matter), on the interface of this number
    /// (0: the one the kernel chooses). setsockopt(2) with MCAST_JOIN_GROUP.
    public func join(_ group: SocketAddress, interface: UInt32 = 0) throws(IOError) {
        try setGroup(CK_MCAST_JOIN_GROUP, group, interface)
    }

    /// Undoes a `join`. MCAST_LEAVE_GROUP.
    public func leave(_ group: SocketAddress, interface: UInt32 = 0) throws(IOError) {
        try setGroup(CK_MCAST_LEAVE_GROUP, group, interface)
    }

    private func setGroup(_ name: Int32, _ group: SocketAddress, _ interface: UInt32) throws(IOError) {
        guard group.isMulticast else {
            let advice = "a group is 224.0.0.0 to 239.255.255.255, or begins with ff"
            throw IOError(.invalidArgument, "group", address: "\(group)", advice: advice)
        }
        let memory = try AddressMemory(group, for: "group")
        let padding = [UInt8](repeating: 0, count: MemoryLayout<ck_socket_address>.alignment - 4)
        let address = UnsafeRawBufferPointer(start: memory.base, count: Int(AddressMemory.room))
        // struct group_req: the interface, and the address at its alignment.
        let request = withUnsafeBytes(of: interface) { Array($0) } + padding + Array(address)
        try setRawOption(level: group.family == CK_AF_INET ? CK_IPPROTO_IP : CK_IPPROTO_IPV6, name: name, to: request)
    }

    // MARK: The rest

    /// Ends what waits on it, which throws `fileClosed`, and closes it. Is not cancelled. A second close throws
    /// `fileClosed`. close(2).
    public func close() async throws(IOError) { try await handle.close() }

    public func localAddress() throws(IOError) -> SocketAddress { try handle.localAddress() }
    public func rawOption(level: Int32, name: Int32, capacity: Int = 4) throws(IOError) -> [UInt8] {
        try handle.rawOption(level, name, capacity)
    }
    public func setRawOption(level: Int32, name: Int32, to bytes: [UInt8]) throws(IOError) {
        try handle.setRawOption(level, name, bytes)
    }
}

extension SocketAddress {
    /// Whether it names a group of receivers.
    public var isMulticast: Bool {
        switch self {
        case .v4(let address, _): address.isMulticast
        case .v6(let address, _, _): address.isMulticast
        case .unix, .abstract, .unnamed: false
        }
    }
}
