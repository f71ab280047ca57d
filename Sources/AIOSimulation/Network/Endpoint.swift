internal import AIO
internal import AIOCore
internal import CKernel

/// An IP address. IPv4 addresses are represented as IPv6 does, mapped (::ffff:0:0/96).
struct NetworkAddress: Hashable, CustomStringConvertible {
    let high: UInt64
    let low: UInt64

    init(_ address: IPv4Address) { (high, low) = (0, 0xffff << 32 | UInt64(address.bits)) }
    init(_ address: IPv6Address) { (high, low) = (address.high, address.low) }

    static let anyV4 = NetworkAddress(IPv4Address.any)
    static let anyV6 = NetworkAddress(IPv6Address.any)
    static let loopbackV4 = NetworkAddress(IPv4Address.loopback)
    static let loopbackV6 = NetworkAddress(IPv6Address.loopback)

    var isV4: Bool { high == 0 && low >> 32 == 0xffff }
    var v4: IPv4Address { IPv4Address(bits: UInt32(truncatingIfNeeded: low)) }
    var v6: IPv6Address { IPv6Address(high: high, low: low) }
    var isAny: Bool { self == .anyV4 || self == .anyV6 }
    var isLoopback: Bool { isV4 ? v4.bits >> 24 == 127 : self == .loopbackV6 }
    var isMulticast: Bool { isV4 ? v4.isMulticast : v6.isMulticast }
    /// 255.255.255.255, the only broadcast address: networks have no masks here.
    var isBroadcast: Bool { isV4 && v4.bits == .max }

    var description: String { isV4 ? "\(v4)" : "\(v6)" }
}

/// An address and a port.
struct Endpoint: Hashable, CustomStringConvertible {
    var address: NetworkAddress
    var port: UInt16

    init(_ address: NetworkAddress, _ port: UInt16) { (self.address, self.port) = (address, port) }

    /// Reads a sockaddr; nil if it is neither IPv4 nor IPv6, or too short.
    init?(_ name: UnsafeRawBufferPointer) {
        guard let start = name.baseAddress,
            let address = SocketAddress(systemAddress: start, count: UInt32(name.count))
        else { return nil }
        switch address {
        case .v4(let address, let port): self.init(NetworkAddress(address), port)
        case .v6(let address, let port, _): self.init(NetworkAddress(address), port)
        case .unix, .abstract, .unnamed: return nil
        }
    }

    /// A sockaddr of a socket's domain.
    func name(_ domain: Int32) -> [UInt8] {
        let isV4 = domain == CK_AF_INET
        let address: SocketAddress = isV4 ? .v4(address.v4, port: port) : .v6(address.v6, port: port)
        let name = try? address.withSystemAddress { start, count in
            Array(UnsafeRawBufferPointer(start: start, count: Int(count)))
        }
        return name ?? []
    }

    var description: String { address.isV4 ? "\(address):\(port)" : "[\(address)]:\(port)" }

    /// An address that a program passed to bind(2), connect(2) or sendto(2), for a socket of a domain: the checks that
    /// inet_bind, tcp_v4_connect and their relatives have in common.
    static func parse(
        _ name: UnsafeRawBufferPointer, domain: Int32, isV6Only: Bool
    ) -> (result: Int, endpoint: Endpoint?) {
        let least = domain == CK_AF_INET ? 16 : 24
        guard name.count >= least else { return (-Int(EINVAL), nil) }
        guard Int32(name.loadUnaligned(as: UInt16.self)) == domain else { return (-Int(EAFNOSUPPORT), nil) }
        // struct sockaddr_in6 without its scope (RFC 2133) is accepted.
        var whole = [UInt8](name)
        while whole.count < 28 { whole.append(0) }
        guard let endpoint = whole.withUnsafeBytes({ Endpoint($0) }) else { return (-Int(EINVAL), nil) }
        if domain == CK_AF_INET6, isV6Only, endpoint.address.isV4 { return (-Int(ENETUNREACH), nil) }
        return (0, endpoint)
    }

    /// Whether the family is AF_UNSPEC, by which connect(2) ends an association.
    static func isUnspecified(_ name: UnsafeRawBufferPointer) -> Bool {
        name.count >= 2 && name.loadUnaligned(as: UInt16.self) == 0
    }
}
