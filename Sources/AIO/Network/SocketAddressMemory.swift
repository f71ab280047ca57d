internal import CKernel

// Addresses as the kernel has them: struct sockaddr_in, sockaddr_in6 and sockaddr_un, of which the numbers are in the
// network's order.
extension SocketAddress {
    /// Bytes of the largest name of a Unix-domain socket, without the zero that begins or ends it.
    static var nameMax: Int { 107 }
    /// Where an address of a Unix-domain socket has its name.
    private static var nameStart: Int { 2 }

    /// AF_INET and its like.
    var family: Int32 {
        switch self {
        case .v4: CK_AF_INET
        case .v6: CK_AF_INET6
        case .unix, .abstract, .unnamed: CK_AF_UNIX
        }
    }

    /// The address in memory of 128 bytes that are zero. Returns its bytes.
    func store(in memory: UnsafeMutableRawPointer, for operation: String) throws(IOError) -> UInt32 {
        memory.storeBytes(of: UInt16(family), as: UInt16.self)
        switch self {
        case .v4(let address, let port):
            memory.storeBytes(of: port.bigEndian, toByteOffset: 2, as: UInt16.self)
            memory.storeBytes(of: address.bits.bigEndian, toByteOffset: 4, as: UInt32.self)
            return 16
        case .v6(let address, let port, let scope):
            memory.storeBytes(of: port.bigEndian, toByteOffset: 2, as: UInt16.self)
            memory.storeBytes(of: address.high.bigEndian, toByteOffset: 8, as: UInt64.self)
            memory.storeBytes(of: address.low.bigEndian, toByteOffset: 16, as: UInt64.self)
            memory.storeBytes(of: scope, toByteOffset: 24, as: UInt32.self)
            return 28
        case .unix(let path):
            let bytes = path.bytes
            guard !bytes.isEmpty, !path.hasInteriorNUL else {
                throw IOError(.invalidArgument, operation, path: path, advice: "the path is empty or holds a NUL byte")
            }
            try storeName(bytes, in: memory + Self.nameStart, for: operation)
            return UInt32(Self.nameStart + bytes.count + 1)
        case .abstract(let name):
            try storeName(name, in: memory + Self.nameStart + 1, for: operation)
            return UInt32(Self.nameStart + 1 + name.count)
        case .unnamed:
            return UInt32(Self.nameStart)
        }
    }

    private func storeName(
        _ bytes: [UInt8], in memory: UnsafeMutableRawPointer, for operation: String
    ) throws(IOError) {
        guard bytes.count <= Self.nameMax else {
            let advice = "the name of a Unix-domain socket has \(Self.nameMax) bytes at most"
            throw IOError(.invalidArgument, operation, address: description, advice: advice)
        }
        UnsafeMutableRawBufferPointer(start: memory, count: bytes.count).copyBytes(from: bytes)
    }

    /// From what the kernel wrote; nil for families that this library does not know, and where there is no address.
    init?(memory: UnsafeRawPointer, count: UInt32) {
        guard count >= 2 else { return nil }
        switch (Int32(memory.loadUnaligned(as: UInt16.self)), count) {
        case (CK_AF_INET, 16...):
            let bits = UInt32(bigEndian: memory.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
            self = .v4(IPv4Address(bits: bits), port: Self.port(memory))
        case (CK_AF_INET6, 28...):
            let address = IPv6Address(bytes: UnsafeRawBufferPointer(start: memory + 8, count: 16))
            let scope = memory.loadUnaligned(fromByteOffset: 24, as: UInt32.self)
            self = .v6(address, port: Self.port(memory), scope: scope)
        case (CK_AF_UNIX, _):
            // The kernel may tell of more than there was room for, and may add a zero to a path.
            let count = min(Int(count), 110) - Self.nameStart
            let name = UnsafeRawBufferPointer(start: memory + Self.nameStart, count: count)
            if name.isEmpty {
                self = .unnamed
            } else if name[0] == 0 {
                self = .abstract(Array(name.dropFirst()))
            } else {
                self = .unix(Path(bytes: name.prefix { $0 != 0 }))
            }
        default: return nil
        }
    }

    private static func port(_ memory: UnsafeRawPointer) -> UInt16 {
        UInt16(bigEndian: memory.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
    }
}

extension SocketAddress {
    /// Calls `body` with the address as bind(2) and connect(2) want it (a `sockaddr`), which is borrowed for the call.
    /// Throws `invalidArgument` for a name that is too long.
    public func withSystemAddress<R>(_ body: (UnsafeRawPointer, UInt32) -> R) throws(IOError) -> R {
        let memory = try AddressMemory(self, for: "address")
        return body(memory.base, memory.count)
    }

    /// From a `sockaddr` of `count` bytes. nil for another family than the three that there are cases for.
    public init?(systemAddress: UnsafeRawPointer, count: UInt32) { self.init(memory: systemAddress, count: count) }
}

/// Memory for an address that stays where it is while an operation is in flight.
struct AddressMemory: ~Copyable {
    let base: UnsafeMutableRawPointer
    /// Bytes of the address; before the kernel has written one, the room for it.
    private let length: UnsafeMutablePointer<UInt32>

    static var room: UInt32 { UInt32(MemoryLayout<ck_socket_address>.size) }

    /// Room for an address.
    init() {
        base = .allocate(byteCount: Int(Self.room), alignment: MemoryLayout<ck_socket_address>.alignment)
        base.initializeMemory(as: UInt8.self, repeating: 0, count: Int(Self.room))
        length = .allocate(capacity: 1)
        length.initialize(to: Self.room)
    }

    init(_ address: SocketAddress, for operation: String) throws(IOError) {
        self.init()
        length.pointee = try address.store(in: base, for: operation)
    }

    deinit {
        base.deallocate()
        length.deallocate()
    }

    var count: UInt32 { length.pointee }
    var countPointer: UnsafeMutablePointer<UInt32> { length }
    var address: SocketAddress? { SocketAddress(memory: base, count: count) }
}
