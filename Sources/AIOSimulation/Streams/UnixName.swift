internal import AIOCore
internal import CKernel

/// Names of Unix-domain sockets: sockaddr_un, in the file system or abstract.
enum UnixName {
    /// The name of a socket that has none: the family alone.
    static let none: [UInt8] = family

    private static var family: [UInt8] { withUnsafeBytes(of: UInt16(CK_AF_UNIX)) { Array($0) } }

    /// The bytes after the family; nil for an invalid name (unix_validate_addr).
    static func parse(_ name: UnsafeRawBufferPointer) -> [UInt8]? {
        guard name.count > 2, name.count <= 110, name.loadUnaligned(as: UInt16.self) == UInt16(CK_AF_UNIX) else {
            return nil
        }
        return Array(name[2...])
    }

    static func isFamilyAlone(_ name: UnsafeRawBufferPointer) -> Bool {
        name.count == 2 && name.loadUnaligned(as: UInt16.self) == UInt16(CK_AF_UNIX)
    }

    static func isAbstract(_ bytes: [UInt8]) -> Bool { bytes[0] == 0 }

    /// bind(2) of a socket without a name.
    static func bind(_ socket: UnixSocket, to bytes: [UInt8]) -> Int {
        let streams = socket.kernel.streams
        if isAbstract(bytes) {
            guard streams.abstractNames[bytes] == nil else { return -Int(EADDRINUSE) }
            streams.abstractNames[bytes] = socket
            socket.boundName = family + bytes
            return 0
        }
        let path = Array(bytes.prefix { $0 != 0 })
        let result = socket.kernel.makeSocketFile(path, socket)
        // The kernel reports the terminating NUL as well.
        if result == 0 { socket.boundName = family + path + [0] }
        return result
    }

    /// A name of the kernel's choice: five hexadecimal digits.
    static func autobind(_ socket: UnixSocket) -> Int {
        let streams = socket.kernel.streams
        while true {
            streams.abstractNameCount += 1
            let digits = String(streams.abstractNameCount & 0xfffff, radix: 16)
            let name = [0] + Array((String(repeating: "0", count: 5 - digits.utf8.count) + digits).utf8)
            if streams.abstractNames[name] == nil { return bind(socket, to: name) }
        }
    }

    static func release(_ socket: UnixSocket) {
        guard let name = socket.boundName, isAbstract(Array(name[2...])) else { return }
        let streams = socket.kernel.streams
        // An accepted socket has its listener's name, and does not own it.
        if streams.abstractNames[Array(name[2...])] === socket { streams.abstractNames[Array(name[2...])] = nil }
    }

    /// The socket that has a name, which must be of the same type.
    static func find(_ bytes: [UInt8], for socket: UnixSocket) -> (result: Int, socket: UnixSocket?) {
        let streams = socket.kernel.streams
        let found: UnixSocket
        if isAbstract(bytes) {
            guard let named = streams.abstractNames[bytes] else { return (-Int(ECONNREFUSED), nil) }
            found = named
        } else {
            let answer = socket.kernel.socket(at: Array(bytes.prefix { $0 != 0 }))
            guard let named = answer.socket else { return (answer.result, nil) }
            found = named
        }
        guard found.type == socket.type else { return (-Int(EPROTOTYPE), nil) }
        return (0, found)
    }
}
