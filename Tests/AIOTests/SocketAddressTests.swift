import Testing

@testable import AIO

@Suite struct SocketAddressTests {
    @Test(
        arguments: [
            ("1.2.3.4:80", .v4(IPv4Address(1, 2, 3, 4), port: 80)),
            ("0.0.0.0:0", .v4(.any, port: 0)),
            ("255.255.255.255:65535", .v4(IPv4Address(bits: .max), port: 65535)),
            ("[::1]:80", .v6(.loopback, port: 80)),
            ("[::]:443", .v6(.any, port: 443)),
            ("[2001:db8::a:1]:8080", .v6(IPv6Address(high: 0x2001_0db8_0000_0000, low: 0xa_0001), port: 8080)),
            ("[fe80::1%7]:22", .v6(IPv6Address(high: 0xfe80 << 48, low: 1), port: 22, scope: 7)),
            ("[::ffff:1.2.3.4]:5", .v6(IPv6Address(high: 0, low: 0xffff_0102_0304), port: 5)),
            ("unix:/run/a b", .unix("/run/a b")),
            ("unix:relative", .unix("relative")),
            ("unix:@name", .abstract(Array("name".utf8))),
            ("unix:@", .abstract([])),
            ("unix:", .unnamed),
        ] as [(String, SocketAddress)])
    func anAddressIsReadAsItIsWritten(_ text: String, _ address: SocketAddress) throws {
        #expect(try SocketAddress(text) == address)
        #expect(address.description == text)
    }

    @Test(
        arguments: [
            "", ":", "1.2.3.4", "1.2.3.4:", ":80", "1.2.3:80", "1.2.3.4.5:80", "1.2.3.256:80", "01.2.3.4:80",
            "+1.2.3.4:1",
            "1.2.3.4:65536", "1.2.3.4:-1", "1.2.3.4:080", "1.2.3.4: 80", "::1:80", "[::1]", "[::1]80", "[::1:80",
            "::1]:80",
            "[1.2.3.4]:80", "[::g]:80", "[::1%]:80", "[::1%no-such-interface]:80", "[::1%0]:80", "example.com:80",
            "/run/name",
        ])
    func whatIsNoAddressIsRefused(_ text: String) async {
        await expect(.invalidArgument) { _ = try SocketAddress(text) }
    }

    @Test func anInterfaceMayBeNamed() throws {
        #expect(try SocketAddress("[fe80::1%lo]:1") == .v6(IPv6Address(high: 0xfe80 << 48, low: 1), port: 1, scope: 1))
    }

    @Test(
        arguments: [
            .v4(IPv4Address(1, 2, 3, 4), port: 0x1234), .v6(IPv6Address(high: 1, low: 2), port: 3, scope: 4), .unnamed,
            .unix("/run/name"), .unix("n"), .unix(Path(String(repeating: "x", count: 107))), .abstract([]),
            .abstract([0, 255, 0]), .abstract([UInt8](repeating: 7, count: 107)),
        ] as [SocketAddress])
    func anAddressComesBackFromTheSystemsForm(_ address: SocketAddress) throws {
        let back = try address.withSystemAddress { SocketAddress(systemAddress: $0, count: $1) }
        #expect(back == address)
    }

    @Test(
        arguments: [
            .unix(""), .unix(Path("a\0b")), .unix(Path(String(repeating: "x", count: 108))),
            .abstract([UInt8](repeating: 7, count: 108)),
        ] as [SocketAddress])
    func aNameThatTheSystemCannotHaveIsRefused(_ address: SocketAddress) async {
        await expect(.invalidArgument) { _ = try address.withSystemAddress { _, _ in } }
    }

    @Test func theSystemsFormIsInTheNetworksOrder() throws {
        let bytes = try SocketAddress("1.2.3.4:258").withSystemAddress { base, count in
            Array(UnsafeRawBufferPointer(start: base, count: Int(count)))
        }
        #expect(bytes == [2, 0, 1, 2, 1, 2, 3, 4] + [UInt8](repeating: 0, count: 8))
    }

    @Test func cutOffAndForeignAddressesAreNone() {
        let bytes: [UInt8] = [2, 0, 1, 2, 1, 2, 3, 4] + [UInt8](repeating: 0, count: 24)
        bytes.withUnsafeBytes { memory in
            #expect(SocketAddress(systemAddress: memory.baseAddress!, count: 0) == nil)
            #expect(SocketAddress(systemAddress: memory.baseAddress!, count: 8) == nil)
        }
        ([16, 0] + bytes).withUnsafeBytes { memory in
            #expect(SocketAddress(systemAddress: memory.baseAddress!, count: 20) == nil)
        }
    }

    @Test func portsAndGroupsAreTold() throws {
        #expect(try SocketAddress("1.2.3.4:80").port == 80)
        #expect(SocketAddress.unnamed.port == nil)
        let other = try SocketAddress("1.2.3.4:81")
        #expect(try SocketAddress("1.2.3.4:80").with(port: 81) == other)
        #expect(try SocketAddress("224.0.0.1:0").isMulticast && SocketAddress("[ff02::1]:0").isMulticast)
        #expect(try !SocketAddress("1.2.3.4:0").isMulticast && !SocketAddress("[::1]:0").isMulticast)
    }
}
