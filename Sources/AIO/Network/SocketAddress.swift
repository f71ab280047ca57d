internal import Glibc

/// Where a socket is: an address and a port, or a name of this machine.
public enum SocketAddress: Hashable, Sendable {
    case v4(IPv4Address, port: UInt16)
    /// `scope` is the number of the interface that a link-local address belongs to; 0 for others.
    case v6(IPv6Address, port: UInt16, scope: UInt32 = 0)
    /// A Unix-domain socket in the file system. The path has 107 bytes at most.
    case unix(Path)
    /// A Unix-domain socket whose name is in no file system, and goes with it. It has 107 bytes at most, any bytes.
    case abstract([UInt8])
    /// A Unix-domain socket without a name. To bind to it has the kernel choose an abstract one.
    case unnamed

    /// nil for a Unix-domain socket.
    public var port: UInt16? {
        switch self {
        case .v4(_, let port), .v6(_, let port, _): port
        case .unix, .abstract, .unnamed: nil
        }
    }

    /// The same address with another port. Unix-domain sockets have none, and stay as they are.
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

    /// Reads what `description` writes; a scope may also be an interface's name. Looks up no name of a host: see
    /// `resolve`. Throws `invalidArgument`.
    public init(_ text: String) throws(IOError) {
        guard let address = Self.parse(text) else {
            let advice = "an address is like 192.0.2.1:80, [2001:db8::1]:80, unix:/run/name or unix:@name"
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

    /// From an address without a port and brackets, as a host may be given.
    static func numeric(_ host: some StringProtocol, _ port: UInt16) -> SocketAddress? {
        if let address = IPv4Address(host) { return .v4(address, port: port) }
        let parts = host.split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let address = IPv6Address(first) else { return nil }
        guard parts.count == 2 else { return .v6(address, port: port) }
        guard let scope = interfaceNumber(parts[1]), scope > 0 else { return nil }
        return .v6(address, port: port, scope: scope)
    }

    /// An interface by its number or its name: if_nametoindex(3). nil if there is none.
    static func interfaceNumber(_ name: some StringProtocol) -> UInt32? {
        if let number = UInt32(decimal: name) { return number }
        let number = if_nametoindex(String(name))
        return number > 0 ? number : nil
    }
}
