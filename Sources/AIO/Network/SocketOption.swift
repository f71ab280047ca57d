internal import CKernel

/// An option of sockets with the type of its values: `connection.setOption(.noDelay, to: true)`.
///
/// One that is not here has `init(level:name:)` for numbers and switches, and `Socket.setRawOption` for all else.
public struct SocketOption<Value: Sendable>: Sendable {
    let level: Int32
    let name: Int32
    let size: Int
    /// nil for a value that cannot be told to the kernel.
    let encode: @Sendable (Value) -> [UInt8]?
    let decode: @Sendable ([UInt8]) -> Value?
}

extension SocketOption where Value == Bool {
    /// An option that is on or off, an `int` in C.
    public init(level: Int32, name: Int32) {
        self.init(
            level: level, name: name, size: 4, encode: { bytes(of: Int32($0 ? 1 : 0)) },
            decode: { number(in: $0).map { $0 != 0 } })
    }

    /// Sends small pieces at once, rather than waiting for more while something is unacknowledged: TCP_NODELAY.
    public static var noDelay: Self { Self(level: CK_IPPROTO_TCP, name: CK_TCP_NODELAY) }
    /// Asks a silent other side now and then whether it is there: SO_KEEPALIVE.
    public static var keepAlive: Self { Self(level: CK_SOL_SOCKET, name: CK_SO_KEEPALIVE) }
    /// May bind to an address that ended connections still have: SO_REUSEADDR.
    public static var reuseAddress: Self { Self(level: CK_SOL_SOCKET, name: CK_SO_REUSEADDR) }
    /// May share an address with other sockets that set this too: SO_REUSEPORT.
    public static var reusePort: Self { Self(level: CK_SOL_SOCKET, name: CK_SO_REUSEPORT) }
    /// Takes no IPv4 on an IPv6 socket: IPV6_V6ONLY.
    public static var v6Only: Self { Self(level: CK_IPPROTO_IPV6, name: CK_IPV6_V6ONLY) }
    /// May send to broadcast addresses: SO_BROADCAST.
    public static var broadcast: Self { Self(level: CK_SOL_SOCKET, name: CK_SO_BROADCAST) }
    /// Whether this machine gets what it sends to a group itself, IPv4: IP_MULTICAST_LOOP.
    public static var multicastLoop: Self { Self(level: CK_IPPROTO_IP, name: CK_IP_MULTICAST_LOOP) }
    /// The same for IPv6: IPV6_MULTICAST_LOOP.
    public static var multicastLoopV6: Self { Self(level: CK_IPPROTO_IPV6, name: CK_IPV6_MULTICAST_LOOP) }
}

extension SocketOption where Value == Int {
    /// An option that is a number, an `int` in C.
    public init(level: Int32, name: Int32) {
        self.init(
            level: level, name: name, size: 4, encode: { Int32(exactly: $0).map { bytes(of: $0) } },
            decode: { number(in: $0).map(Int.init) })
    }

    /// Bytes that wait to be sent at most. The kernel doubles what is set, and has limits: SO_SNDBUF.
    public static var sendBufferSize: Self { Self(level: CK_SOL_SOCKET, name: CK_SO_SNDBUF) }
    /// Bytes that wait to be read at most. As `sendBufferSize`: SO_RCVBUF.
    public static var receiveBufferSize: Self { Self(level: CK_SOL_SOCKET, name: CK_SO_RCVBUF) }
    /// Questions without an answer after which a connection is taken for dead: TCP_KEEPCNT.
    public static var keepAliveCount: Self { Self(level: CK_IPPROTO_TCP, name: CK_TCP_KEEPCNT) }
    /// Routers that a datagram to a group passes at most, IPv4: IP_MULTICAST_TTL.
    public static var multicastHops: Self { Self(level: CK_IPPROTO_IP, name: CK_IP_MULTICAST_TTL) }
    /// The same for IPv6: IPV6_MULTICAST_HOPS.
    public static var multicastHopsV6: Self { Self(level: CK_IPPROTO_IPV6, name: CK_IPV6_MULTICAST_HOPS) }
}

extension SocketOption where Value == Duration {
    /// A time, of which the kernel has whole multiples of `unit`.
    init(level: Int32, name: Int32, unit: Duration) {
        self.init(
            level: level, name: name, size: 4,
            encode: { Int32(exactly: ($0 / unit).rounded(.up)).map { bytes(of: $0) } },
            decode: { number(in: $0).map { unit * Int($0) } })
    }

    /// Silence before the first question, in seconds: TCP_KEEPIDLE.
    public static var keepAliveIdle: Self { Self(level: CK_IPPROTO_TCP, name: CK_TCP_KEEPIDLE, unit: .seconds(1)) }
    /// Time between questions, in seconds: TCP_KEEPINTVL.
    public static var keepAliveInterval: Self {
        Self(level: CK_IPPROTO_TCP, name: CK_TCP_KEEPINTVL, unit: .seconds(1))
    }
    /// How long what was sent may go without an answer, in milliseconds; 0 for the kernel's choice: TCP_USER_TIMEOUT.
    public static var userTimeout: Self {
        Self(level: CK_IPPROTO_TCP, name: CK_TCP_USER_TIMEOUT, unit: .milliseconds(1))
    }
}

extension SocketOption where Value == Duration? {
    /// How long a close waits for what was written to be delivered, in seconds; with zero it drops that, and resets the
    /// connection. nil, the default: it does not wait, and delivers. SO_LINGER.
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

/// A plain value as the kernel has it.
private func bytes<Plain: BitwiseCopyable>(of value: Plain) -> [UInt8] { withUnsafeBytes(of: value) { Array($0) } }

/// An `int`; the kernel answers for some options with a byte.
private func number(in bytes: [UInt8]) -> Int32? {
    switch bytes.count {
    case 1: Int32(bytes[0])
    case 4: bytes.withUnsafeBytes { $0.loadUnaligned(as: Int32.self) }
    default: nil
    }
}
