#if canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// An IPv4 address.
public struct IPv4Address: Hashable, Sendable, CustomStringConvertible {
    /// The four bytes as a number, the first byte the most significant.
    public let bits: UInt32

    /// From a number, whose most significant byte is the first of the address.
    public init(bits: UInt32) { self.bits = bits }

    /// From four bytes: `IPv4Address(192, 0, 2, 1)`.
    public init(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8) {
        bits = UInt32(a) << 24 | UInt32(b) << 16 | UInt32(c) << 8 | UInt32(d)
    }

    /// Parses "192.0.2.1". nil for anything else, including leading zeros, which other parsers read as octal.
    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var bits: UInt32 = 0
        for part in parts {
            guard let byte = UInt8(decimal: part) else { return nil }
            bits = bits << 8 | UInt32(byte)
        }
        self.bits = bits
    }

    /// 0.0.0.0: all local addresses.
    public static var any: IPv4Address { IPv4Address(bits: 0) }
    /// 127.0.0.1.
    public static var loopback: IPv4Address { IPv4Address(127, 0, 0, 1) }

    /// Whether the address is a multicast group, 224.0.0.0/4.
    public var isMulticast: Bool { bits >> 28 == 0b1110 }

    /// For example "192.0.2.1".
    public var description: String { "\(bits >> 24).\(bits >> 16 & 255).\(bits >> 8 & 255).\(bits & 255)" }
}

/// An IPv6 address.
public struct IPv6Address: Hashable, Sendable, CustomStringConvertible {
    /// The first eight bytes as a number, the first byte the most significant.
    public let high: UInt64
    /// The last eight bytes as a number, the last byte the least significant.
    public let low: UInt64

    /// From two numbers, the first eight bytes and the last eight.
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Parses "2001:db8::1" with inet_pton(3); nil for anything else.
    public init?(_ text: some StringProtocol) {
        var address = in6_addr()
        guard !text.utf8.contains(0), inet_pton(AF_INET6, String(text), &address) == 1 else { return nil }
        self = withUnsafeBytes(of: address) { IPv6Address(bytes: $0) }
    }

    /// From sixteen bytes.
    init(bytes: UnsafeRawBufferPointer) {
        high = UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self))
        low = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    }

    /// ::, all local addresses.
    public static var any: IPv6Address { IPv6Address(high: 0, low: 0) }
    /// ::1.
    public static var loopback: IPv6Address { IPv6Address(high: 0, low: 1) }

    /// Whether the address is a multicast group, ff00::/8.
    public var isMulticast: Bool { high >> 56 == 0xff }
    /// fe80::/10. Such an address is valid only together with an interface.
    public var isLinkLocal: Bool { high >> 54 == 0xfe80 >> 6 }

    /// The text form of RFC 5952.
    public var description: String {
        var bytes = (high.bigEndian, low.bigEndian)
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET6_ADDRSTRLEN)) { text in
            guard inet_ntop(AF_INET6, &bytes, text.baseAddress, socklen_t(INET6_ADDRSTRLEN)) != nil,
                let base = text.baseAddress
            else { return "::" }
            return String(cString: base)
        }
    }
}

extension FixedWidthInteger {
    /// Parses decimal digits without a sign or leading zeros.
    init?(decimal text: some StringProtocol) {
        let zero = UInt8(ascii: "0")
        guard let first = text.utf8.first, text.utf8.allSatisfy({ (zero...zero + 9).contains($0) }),
            first != zero || text.utf8.count == 1
        else { return nil }
        self.init(text)
    }
}
