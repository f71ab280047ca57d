import AIO
import AIOCore
import CKernel
import Glibc
import Testing

/// The kinds of sockets that cases run on.
enum SocketFamily: String, Sendable, CaseIterable, CustomTestStringConvertible {
    case v4, v6, unix

    var testDescription: String { rawValue }

    var domain: Int32 {
        switch self {
        case .v4: AF_INET
        case .v6: AF_INET6
        case .unix: AF_UNIX
        }
    }

    /// The loopback address without a port. For a Unix-domain socket there is no name, so that the kernel chooses an
    /// abstract one.
    var anyName: SocketName {
        switch self {
        case .v4:
            var name = sockaddr_in()
            name.sin_family = sa_family_t(AF_INET)
            name.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            return SocketName(name)
        case .v6:
            var name = sockaddr_in6()
            name.sin6_family = sa_family_t(AF_INET6)
            name.sin6_addr = in6addr_loopback
            return SocketName(name)
        case .unix:
            return SocketName(sa_family_t(AF_UNIX))
        }
    }

    /// The families that this machine supports.
    static let available = allCases.filter { family in
        guard let descriptor = try? boundSocket(family, CK_SOCK_STREAM) else { return false }
        closeDescriptor(descriptor)
        return true
    }
}

/// A socket's address in memory that does not move.
final class SocketName: @unchecked Sendable {
    // @unchecked: a test passes it to one operation at a time.
    static let room = 128
    let base = UnsafeMutableRawPointer.allocate(byteCount: room, alignment: 8)
    let count = UnsafeMutablePointer<UInt32>.allocate(capacity: 1)

    /// Empty, to be filled in.
    init() {
        base.initializeMemory(as: UInt8.self, repeating: 0, count: Self.room)
        count.initialize(to: UInt32(Self.room))
    }

    /// From one of the system's address structures.
    convenience init<Name>(_ name: Name) {
        self.init()
        withUnsafeBytes(of: name) { base.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
        count.pointee = UInt32(MemoryLayout<Name>.size)
    }

    /// The local address of a socket.
    convenience init(of descriptor: Int32) {
        self.init()
        #expect(Kernel.localName(descriptor, base, count) == 0)
    }

    deinit {
        base.deallocate()
        count.deallocate()
    }

    var bytes: [UInt8] { Array(UnsafeRawBufferPointer(start: base, count: Int(count.pointee))) }
}

/// A bound socket, created without the library.
func boundSocket(_ family: SocketFamily, _ type: Int32) throws -> Int32 {
    let descriptor = Kernel.socket(family.domain, type | CK_SOCK_CLOEXEC, 0)
    guard descriptor >= 0 else { throw Unavailable(reason: "no socket: errno \(-descriptor)") }
    let name = family.anyName
    let bound = Kernel.bind(Int32(descriptor), name.base, name.count.pointee)
    guard bound == 0 else {
        closeDescriptor(Int32(descriptor))
        throw Unavailable(reason: "no address of \(family): errno \(-bound)")
    }
    return Int32(descriptor)
}

/// A listening socket, created without the library, and closed when the test is over.
struct Listener: Sendable {
    let descriptor: Int32
    let family: SocketFamily
    let name: SocketName

    static func with<R>(
        _ family: SocketFamily = .v4, backlog: Int32 = 128, nonBlocking: Bool = false,
        _ body: (Listener) async throws -> R
    ) async throws -> R {
        let type = CK_SOCK_STREAM | (nonBlocking ? CK_SOCK_NONBLOCK : 0)
        let descriptor = try boundSocket(family, type)
        defer { closeDescriptor(descriptor) }
        #expect(Glibc.listen(descriptor, backlog) == 0)
        return try await body(Listener(descriptor: descriptor, family: family, name: SocketName(of: descriptor)))
    }

    /// A socket of the listener's family that is not connected yet, created without the library.
    func socket(nonBlocking: Bool = false) throws -> Int32 {
        let type = CK_SOCK_STREAM | CK_SOCK_CLOEXEC | (nonBlocking ? CK_SOCK_NONBLOCK : 0)
        let made = Kernel.socket(family.domain, type, 0)
        try #require(made >= 0)
        return Int32(made)
    }

    /// A connected socket, created without the library.
    func connected() throws -> Int32 {
        let socket = try socket()
        try #require(Kernel.connect(socket, name.base, name.count.pointee) == 0)
        return socket
    }

    /// Connects until the backlog is full, and returns the sockets.
    func fillUp() throws -> [Int32] {
        var sockets: [Int32] = []
        while true {
            sockets.append(try socket(nonBlocking: true))
            let result = Kernel.connect(sockets[sockets.count - 1], name.base, name.count.pointee)
            if result == -Int(EAGAIN) { return sockets }
            guard result == -Int(EINPROGRESS) else { continue }
            // Over loopback, a connection is established immediately, or only when there is room in the backlog.
            var entry = pollfd(fd: sockets[sockets.count - 1], events: Int16(POLLOUT), revents: 0)
            if Glibc.poll(&entry, 1, 20) == 0 { return sockets }
        }
    }
}

/// Runs `body` with the two ends of a connection.
func withConnection<R>(
    _ family: SocketFamily = .v4, _ body: (Int32, Int32) async throws -> R
) async throws -> R {
    try await Listener.with(family) { listener in
        let client = try listener.connected()
        defer { closeDescriptor(client) }
        let server = Kernel.accept4(listener.descriptor, nil, nil, CK_SOCK_CLOEXEC)
        try #require(server >= 0)
        defer { closeDescriptor(Int32(server)) }
        return try await body(client, Int32(server))
    }
}

extension Descriptor {
    static func socket(_ number: Int32) -> Descriptor { Descriptor(number, kind: .stream) }
}

extension Memory {
    func receive(_ socket: Int32, flags: Int32 = 0) -> AIOCore.Operation {
        .socket(.receive(.socket(socket), base, count: count, flags: flags))
    }

    func send(_ socket: Int32, flags: Int32 = 0) -> AIOCore.Operation {
        .socket(.send(.socket(socket), base, count: count, flags: flags))
    }
}

/// A message for sendmsg(2) or recvmsg(2), with the memory that it points at.
final class Message: @unchecked Sendable {
    // @unchecked: a test passes it to one operation at a time.
    let header = UnsafeMutablePointer<ck_message>.allocate(capacity: 1)
    let vectors: Vectors
    let name: SocketName

    init(_ parts: [Memory], _ name: SocketName = SocketName()) {
        vectors = Vectors(parts)
        self.name = name
        header.initialize(
            to: ck_message(
                name: name.base, name_count: name.count.pointee, vectors: vectors.base,
                vector_count: UInt64(parts.count), control: nil, control_count: 0, flags: 0))
    }

    deinit { header.deallocate() }

    func receive(_ socket: Int32) -> AIOCore.Operation { .socket(.receiveMessage(.socket(socket), header, flags: 0)) }
    func send(_ socket: Int32) -> AIOCore.Operation { .socket(.sendMessage(.socket(socket), header, flags: 0)) }
}
