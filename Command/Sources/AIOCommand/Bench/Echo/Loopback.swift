import AIOCore
import CKernel
import Glibc

/// TCP on the loopback interface, by system calls.
enum Loopback {
    /// The most connections that wait to be accepted; the sysctl net.core.somaxconn limits it further.
    static let backlog: Int32 = 4096

    static func listen() throws(Failure) -> OpenDescriptor {
        let socket = try makeSocket(CK_SOCK_NONBLOCK)
        var address = LoopbackAddress(port: 0).structure
        let bound = Kernel.bind(socket.number, &address, UInt32(MemoryLayout<sockaddr_in>.size))
        guard bound >= 0 else { throw Failure("bind to 127.0.0.1", result: bound) }
        let listening = Kernel.listen(socket.number, backlog)
        guard listening >= 0 else { throw Failure("listen", result: listening) }
        return socket
    }

    static func connect(to server: LoopbackAddress) throws(Failure) -> OpenDescriptor {
        let socket = try makeSocket(0)
        var address = server.structure
        let connected = Kernel.connect(socket.number, &address, UInt32(MemoryLayout<sockaddr_in>.size))
        guard connected >= 0 else { throw Failure("connect to \(server)", result: connected) }
        sendAtOnce(socket.number)
        return socket
    }

    private static func makeSocket(_ flags: Int32) throws(Failure) -> OpenDescriptor {
        let number = Kernel.socket(CK_AF_INET, CK_SOCK_STREAM | CK_SOCK_CLOEXEC | flags, 0)
        guard number >= 0 else { throw Failure("socket", result: number) }
        return OpenDescriptor(owning: Int32(number))
    }

    /// Sets TCP_NODELAY.
    static func sendAtOnce(_ socket: Int32) {
        var one: Int32 = 1
        _ = Kernel.setOption(socket, CK_IPPROTO_TCP, CK_TCP_NODELAY, &one, 4)
    }
}

/// An IPv4 address and a port.
struct LoopbackAddress: CustomStringConvertible {
    /// In network byte order.
    private var host = UInt32(0x7f00_0001).bigEndian
    private let port: UInt16

    init(port: UInt16) { self.port = port }

    /// Parses text such as `127.0.0.1:7777`.
    init?(_ text: Substring) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let port = UInt16(parts[1]), port > 0 else { return nil }
        var address = in_addr()
        guard inet_pton(AF_INET, String(parts[0]), &address) == 1 else { return nil }
        host = address.s_addr
        self.port = port
    }

    /// The local address of a socket.
    init(of socket: Int32) throws(Failure) {
        var address = sockaddr_in()
        var count = UInt32(MemoryLayout<sockaddr_in>.size)
        let result = Kernel.localName(socket, &address, &count)
        guard result >= 0 else { throw Failure("getsockname", result: result) }
        host = address.sin_addr.s_addr
        port = UInt16(bigEndian: address.sin_port)
    }

    var structure: sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = host
        return address
    }

    var description: String {
        let bytes = withUnsafeBytes(of: host) { $0.map(String.init).joined(separator: ".") }
        return "\(bytes):\(port)"
    }
}
