#if canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// The address of a socket: an IP address and port, or a Unix-domain name.
public enum SocketAddress: Hashable, Sendable {
    /// An IPv4 address and a port of TCP or UDP.
    case v4(IPv4Address, port: UInt16)
    /// An IPv6 address and a port of TCP or UDP. `scope` is the interface index of a link-local address, 0 for other
    /// addresses.
    case v6(IPv6Address, port: UInt16, scope: UInt32 = 0)
    /// A Unix-domain socket in the file system. The path has at most 107 bytes.
    case unix(Path)
    /// A Unix-domain socket in the abstract namespace (unix(7)). The name is not in a file system and disappears with
    /// the socket; it has at most 107 arbitrary bytes.
    case abstract([UInt8])
    /// An unnamed Unix-domain socket. Binding to it makes the kernel choose an abstract name.
    case unnamed

    /// The port of TCP or UDP; nil for a Unix-domain socket.
    public var port: UInt16? {
        switch self {
        case .v4(_, let port), .v6(_, let port, _): port
        case .unix, .abstract, .unnamed: nil
        }
    }

    /// The same address with another port. Unix-domain addresses have no port and are returned unchanged.
    public func with(port: UInt16) -> SocketAddress {
        switch self {
        case .v4(let address, _): .v4(address, port: port)
        case .v6(let address, _, let scope): .v6(address, port: port, scope: scope)
        case .unix, .abstract, .unnamed: self
        }
    }
}

extension SocketAddress: CustomStringConvertible {
    /// "192.0.2.1:80", "[2001:db8::1]:80", "[fe80::1%2]:80", "unix:/run/name", "unix:@abstract", "unix:".
    public var description: String {
        switch self {
        case .v4(let address, let port): "\(address):\(port)"
        case .v6(let address, let port, 0): "[\(address)]:\(port)"
        case .v6(let address, let port, let scope): "[\(address)%\(scope)]:\(port)"
        case .unix(let path): "unix:" + String(decoding: path.bytes, as: UTF8.self)
        case .abstract(let name): "unix:@" + String(decoding: name, as: UTF8.self)
        case .unnamed: "unix:"
        }
    }

    /// Parses the format of ``description``; a scope may also be an interface name. Host names are not resolved; see
    /// ``resolve(_:port:runtime:deadline:)``.
    ///
    /// - Throws: ``IOError/Code/invalidArgument`` for any other text.
    public init(_ text: String) throws(IOError) {
        guard let address = Self.parse(text) else {
            let advice = "valid forms are 192.0.2.1:80, [2001:db8::1]:80, unix:/run/name and unix:@name"
            throw IOError(.invalidArgument, "address", address: text, advice: advice)
        }
        self = address
    }

    private static func parse(_ text: String) -> SocketAddress? {
        if text.hasPrefix("unix:") {
            let name = text.dropFirst(5)
            if name.isEmpty { return .unnamed }
            return name.hasPrefix("@") ? .abstract(Array(name.utf8.dropFirst())) : .unix(Path(String(name)))
        }
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(decimal: text[text.index(after: colon)...]) else {
            return nil
        }
        let host = text[..<colon]
        if let address = IPv4Address(host) { return .v4(address, port: port) }
        guard host.hasPrefix("["), host.hasSuffix("]") else { return nil }
        return numeric(host.dropFirst().dropLast(), port).flatMap { if case .v6 = $0 { $0 } else { nil } }
    }

    /// Parses an address without port and brackets, as in a host name.
    static func numeric(_ host: some StringProtocol, _ port: UInt16) -> SocketAddress? {
        if let address = IPv4Address(host) { return .v4(address, port: port) }
        let parts = host.split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let address = IPv6Address(first) else { return nil }
        guard parts.count == 2 else { return .v6(address, port: port) }
        guard let scope = interfaceNumber(parts[1]), scope > 0 else { return nil }
        return .v6(address, port: port, scope: scope)
    }

    /// An interface index from a number or a name, if_nametoindex(3); nil if there is none.
    static func interfaceNumber(_ name: some StringProtocol) -> UInt32? {
        if let number = UInt32(decimal: name) { return number }
        let number = if_nametoindex(String(name))
        return number > 0 ? number : nil
    }
}
