internal import CKernel

// Addresses in the kernel's format: struct sockaddr_in, sockaddr_in6 and sockaddr_un, with numbers in network byte
// order.
extension SocketAddress {
    /// The maximum length of a Unix-domain name in bytes, without its leading or terminating NUL: `sun_path` of struct
    /// sockaddr_un has 108.
    static var nameMax: Int { 107 }
    /// The offset of the name in struct sockaddr_un, behind the family.
    private static var nameStart: Int { 2 }

    /// The address family: AF_INET, AF_INET6 or AF_UNIX.
    var family: Int32 {
        switch self {
        case .v4: CK_AF_INET
        case .v6: CK_AF_INET6
        case .unix, .abstract, .unnamed: CK_AF_UNIX
        }
    }

    /// Writes the address to 128 zeroed bytes. Returns its length in bytes: struct sockaddr_in has 16, sockaddr_in6 has
    /// 28.
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
                throw IOError(
                    .invalidArgument, operation, path: path, advice: "the path is empty or contains a NUL byte")
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
            let advice = "the name of a Unix-domain socket has at most \(Self.nameMax) bytes"
            throw IOError(.invalidArgument, operation, address: description, advice: advice)
        }
        UnsafeMutableRawBufferPointer(start: memory, count: bytes.count).copyBytes(from: bytes)
    }

    /// Reads an address that the kernel wrote. nil for an unknown family, and if there is no address.
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
            // The kernel may report more bytes than fit, and may append a NUL to a path. struct sockaddr_un has 110
            // bytes.
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
    /// Calls `body` with a `sockaddr` for bind(2) and connect(2) and its length. The memory is valid during the call
    /// only.
    ///
    /// - Throws: ``IOError/Code/invalidArgument`` for a Unix-domain name that is too long, or an empty path.
    public func withSystemAddress<R>(_ body: (UnsafeRawPointer, UInt32) -> R) throws(IOError) -> R {
        let memory = try AddressMemory(self, for: "address")
        return body(memory.base, memory.count)
    }

    /// Reads a `sockaddr` of `count` bytes. nil for families other than AF_INET, AF_INET6 and AF_UNIX.
    public init?(systemAddress: UnsafeRawPointer, count: UInt32) { self.init(memory: systemAddress, count: count) }
}

/// Memory for an address, at an address that stays fixed while an operation is in flight.
struct AddressMemory: ~Copyable {
    let base: UnsafeMutableRawPointer
    /// The length of the address; until the kernel writes one, the size of the memory.
    private let length: UnsafeMutablePointer<UInt32>

    static var room: UInt32 { UInt32(MemoryLayout<ck_socket_address>.size) }

    /// Empty memory for the kernel to write to.
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
