internal import CKernel

/// A socket option with the type of its value: `connection.setOption(.noDelay, to: true)`.
///
/// For numbers and switches that are not defined here use `SocketOption(level:name:)`, for everything else
/// ``Socket/setRawOption(level:name:to:)``.
public struct SocketOption<Value: Sendable>: Sendable {
    let level: Int32
    let name: Int32
    let size: Int
    /// Returns nil for a value that the kernel's type cannot represent.
    let encode: @Sendable (Value) -> [UInt8]?
    let decode: @Sendable ([UInt8]) -> Value?
}

extension SocketOption where Value == Bool {
    /// A switch, an `int` in C.
    public init(level: Int32, name: Int32) {
        self.init(
            level: level, name: name, size: 4, encode: { bytes(of: Int32($0 ? 1 : 0)) },
            decode: { number(in: $0).map { $0 != 0 } })
    }

    /// Sends small segments at once instead of delaying them while data is unacknowledged: TCP_NODELAY.
    public static var noDelay: Self { Self(level: CK_IPPROTO_TCP, name: CK_TCP_NODELAY) }
    /// Probes an idle peer: SO_KEEPALIVE.
    public static var keepAlive: Self { Self(level: CK_SOL_SOCKET, name: CK_SO_KEEPALIVE) }
    /// Permits binding to an address that ended connections still occupy: SO_REUSEADDR.
    public static var reuseAddress: Self { Self(level: CK_SOL_SOCKET, name: CK_SO_REUSEADDR) }
    /// Shares the address with other sockets that set this option: SO_REUSEPORT.
    public static var reusePort: Self { Self(level: CK_SOL_SOCKET, name: CK_SO_REUSEPORT) }
    /// Excludes IPv4 on an IPv6 socket: IPV6_V6ONLY.
    public static var v6Only: Self { Self(level: CK_IPPROTO_IPV6, name: CK_IPV6_V6ONLY) }
    /// Permits sending to broadcast addresses: SO_BROADCAST.
    public static var broadcast: Self { Self(level: CK_SOL_SOCKET, name: CK_SO_BROADCAST) }
    /// Whether this machine receives its own multicast datagrams, IPv4: IP_MULTICAST_LOOP.
    public static var multicastLoop: Self { Self(level: CK_IPPROTO_IP, name: CK_IP_MULTICAST_LOOP) }
    /// Whether this machine receives its own multicast datagrams, IPv6: IPV6_MULTICAST_LOOP.
    public static var multicastLoopV6: Self { Self(level: CK_IPPROTO_IPV6, name: CK_IPV6_MULTICAST_LOOP) }
}

extension SocketOption where Value == Int {
    /// A number, an `int` in C.
    public init(level: Int32, name: Int32) {
        self.init(
            level: level, name: name, size: 4, encode: { Int32(exactly: $0).map { bytes(of: $0) } },
            decode: { number(in: $0).map(Int.init) })
    }

    /// The size of the send buffer in bytes: SO_SNDBUF. The kernel doubles the value that is set, and limits it.
    public static var sendBufferSize: Self { Self(level: CK_SOL_SOCKET, name: CK_SO_SNDBUF) }
    /// The size of the receive buffer in bytes: SO_RCVBUF. The kernel doubles the value that is set, and limits it.
    public static var receiveBufferSize: Self { Self(level: CK_SOL_SOCKET, name: CK_SO_RCVBUF) }
    /// The number of unanswered probes after which the connection is dropped: TCP_KEEPCNT.
    public static var keepAliveCount: Self { Self(level: CK_IPPROTO_TCP, name: CK_TCP_KEEPCNT) }
    /// The time to live of multicast datagrams, IPv4: IP_MULTICAST_TTL.
    public static var multicastHops: Self { Self(level: CK_IPPROTO_IP, name: CK_IP_MULTICAST_TTL) }
    /// The hop limit of multicast datagrams, IPv6: IPV6_MULTICAST_HOPS.
    public static var multicastHopsV6: Self { Self(level: CK_IPPROTO_IPV6, name: CK_IPV6_MULTICAST_HOPS) }
}

extension SocketOption where Value == Duration {
    /// A duration in multiples of `unit`, rounded up.
    init(level: Int32, name: Int32, unit: Duration) {
        self.init(
            level: level, name: name, size: 4,
            encode: { Int32(exactly: ($0 / unit).rounded(.up)).map { bytes(of: $0) } },
            decode: { number(in: $0).map { unit * Int($0) } })
    }

    /// Idle time before the first probe, in seconds: TCP_KEEPIDLE.
    public static var keepAliveIdle: Self { Self(level: CK_IPPROTO_TCP, name: CK_TCP_KEEPIDLE, unit: .seconds(1)) }
    /// Time between probes, in seconds: TCP_KEEPINTVL.
    public static var keepAliveInterval: Self {
        Self(level: CK_IPPROTO_TCP, name: CK_TCP_KEEPINTVL, unit: .seconds(1))
    }
    /// How long data may stay unacknowledged, in milliseconds; 0 is the system's default: TCP_USER_TIMEOUT.
    public static var userTimeout: Self {
        Self(level: CK_IPPROTO_TCP, name: CK_TCP_USER_TIMEOUT, unit: .milliseconds(1))
    }
}

extension SocketOption where Value == Duration? {
    /// How long a close waits for unsent data to be delivered, in seconds: SO_LINGER. Zero discards the data and resets
    /// the connection. nil, the default, delivers it in the background.
    public static var linger: Self {
        Self(
            level: CK_SOL_SOCKET, name: CK_SO_LINGER, size: MemoryLayout<ck_linger>.size,
            encode: { time in
                guard let time else { return bytes(of: ck_linger(is_on: 0, seconds: 0)) }
                let seconds = Int32(exactly: (time / .seconds(1)).rounded(.up))
                return seconds.map { bytes(of: ck_linger(is_on: 1, seconds: $0)) }
            },
            decode: { bytes in
                guard bytes.count == MemoryLayout<ck_linger>.size else { return nil }
                let linger = bytes.withUnsafeBytes { $0.loadUnaligned(as: ck_linger.self) }
                return .some(linger.is_on != 0 ? .seconds(Int(linger.seconds)) : nil)
            })
    }
}

/// The bytes of a plain value in the kernel's representation.
private func bytes<Plain: BitwiseCopyable>(of value: Plain) -> [UInt8] { withUnsafeBytes(of: value) { Array($0) } }

/// An `int`; for some options the kernel returns a single byte.
private func number(in bytes: [UInt8]) -> Int32? {
    switch bytes.count {
    case 1: Int32(bytes[0])
    case 4: bytes.withUnsafeBytes { $0.loadUnaligned(as: Int32.self) }
    default: nil
    }
}
