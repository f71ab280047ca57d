import AIO
import AIOCore
import CKernel
import Testing

@testable import AIOSimulation

/// Socket options, against the real kernel's.
struct OptionTests {
    private struct Option: Hashable {
        let level: Int32
        let name: Int32
    }

    private static let options: [Option] =
        [
            CK_SO_REUSEADDR, CK_SO_ERROR, CK_SO_ACCEPTCONN, CK_SO_BROADCAST, CK_SO_KEEPALIVE, CK_SO_REUSEPORT,
            CK_SO_SNDBUF, CK_SO_RCVBUF, 3, 38, 39, 1000,
        ].map { Option(level: CK_SOL_SOCKET, name: $0) }
        + [CK_TCP_NODELAY, CK_TCP_KEEPIDLE, CK_TCP_KEEPINTVL, CK_TCP_KEEPCNT, CK_TCP_USER_TIMEOUT, 1000].map {
            Option(level: CK_IPPROTO_TCP, name: $0)
        }
        + [CK_IP_TTL, CK_IP_MULTICAST_TTL, CK_IP_MULTICAST_LOOP, 1000].map { Option(level: CK_IPPROTO_IP, name: $0) }
        + [CK_IPV6_V6ONLY, CK_IPV6_MULTICAST_HOPS, CK_IPV6_MULTICAST_LOOP, 1000].map {
            Option(level: CK_IPPROTO_IPV6, name: $0)
        }

    /// Within what net.core.wmem_max and rmem_max permit on every machine.
    private static let values: [Int32] = [-1, 0, 1, 2, 127, 128, 255, 256, 32767, 32768, 100_000]

    private static let kinds: [(Int32, Int32)] = [
        (CK_AF_UNIX, CK_SOCK_STREAM), (CK_AF_UNIX, CK_SOCK_DGRAM), (CK_AF_INET, CK_SOCK_STREAM),
        (CK_AF_INET, CK_SOCK_DGRAM), (CK_AF_INET6, CK_SOCK_STREAM), (CK_AF_INET6, CK_SOCK_DGRAM),
    ]

    @Test(arguments: kinds)
    func socketOptionsBehaveAsTheKernels(_ domain: Int32, _ type: Int32) {
        let kernel = SimulatedKernel(host: "a", in: World(seed: 1))
        let (simulated, real) = (Caller.simulated(kernel), Caller.real)
        let (mine, other) = (simulated.socket(domain, type), real.socket(domain, type))
        defer { real.close(other) }
        for option in Self.options {
            for value in Self.values {
                // -1 for a buffer is the system's maximum.
                if value == -1, option.level == CK_SOL_SOCKET { continue }
                let result = simulated.setOption(mine, option.level, option.name, value)
                let expected = real.setOption(other, option.level, option.name, value)
                #expect(result == expected, "\(option) = \(value)")
                let read = simulated.option(mine, option.level, option.name)
                let expectedRead = real.option(other, option.level, option.name)
                #expect(read == expectedRead, "\(option) = \(value)")
            }
        }
    }
}
