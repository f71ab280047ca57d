import Foundation
import Testing

/// A server's response.
struct HTTPReply {
    var status: Int
    /// The fields, by name in lower case.
    var fields: [String: String]
    var body: [UInt8]

    var text: String { String(decoding: body, as: UTF8.self) }
}

/// A connection to a server with direct access to the bytes.
final class HTTPClient {
    let descriptor: Int32
    private var received: [UInt8] = []

    init(port: UInt16) throws {
        descriptor = Self.makeSocket(AF_INET)
        try #require(Self.connect(descriptor, port) == 0, "connect: \(errno)")
        limitWaits()
    }

    /// Whether connections to the port are refused.
    static func isRefused(at port: UInt16) -> Bool {
        let descriptor = makeSocket(AF_INET)
        defer { Glibc.close(descriptor) }
        return connect(descriptor, port) != 0 && errno == ECONNREFUSED
    }

    private static func makeSocket(_ family: Int32) -> Int32 {
        socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    }

    private static func connect(_ descriptor: Int32, _ port: UInt16) -> Int32 {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    init(path: String) throws {
        descriptor = Self.makeSocket(AF_UNIX)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(result == 0, "connect: \(errno)")
        limitWaits()
    }

    deinit { Glibc.close(descriptor) }

    /// A response that takes longer than this never comes.
    private func limitWaits() {
        var time = timeval(tv_sec: 60, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
    }

    static func request(_ target: String, _ fields: [String] = [], method: String = "GET") -> String {
        (["\(method) \(target) HTTP/1.1", "Host: test"] + fields + ["", ""]).joined(separator: "\r\n")
    }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) throws {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress! + done, $0.count - done, Int32(MSG_NOSIGNAL))
            }
            try #require(count > 0, "send: \(errno)")
            done += count
        }
    }

    /// Sends what it can, since the server may close the connection before it has read everything.
    func sendAsMuchAsGoes(_ bytes: [UInt8]) {
        _ = bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress!, $0.count, Int32(MSG_NOSIGNAL)) }
    }

    func shutdownWrite() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Whether there is unread input.
    var hasInput: Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return !received.isEmpty || poll(&entry, 1, 0) > 0
    }

    /// Returns the bytes that arrive, or none at the end; a reset counts as an end.
    private func receive(_ room: Int = 65536) throws -> [UInt8] {
        var result = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: room) { buffer, count in
            result = recv(descriptor, buffer.baseAddress, room, 0)
            count = max(result, 0)
        }
        try #require(result >= 0 || errno == ECONNRESET, "nothing came: errno \(errno)")
        return bytes
    }

    /// Reads up to the end of the connection.
    func readToEnd() throws -> [UInt8] {
        while true {
            let bytes = try receive(1 << 20)
            guard !bytes.isEmpty else { break }
            received += bytes
        }
        defer { received = [] }
        return received
    }

    /// The number of bytes up to the end.
    func countToEnd() throws -> Int {
        var count = received.count
        received = []
        while true {
            let bytes = try receive(1 << 20)
            guard !bytes.isEmpty else { return count }
            count += bytes.count
        }
    }

    /// Reads one response, whose length follows from its field, its chunks, or the end of the connection.
    func readReply(isHead: Bool = false) throws -> HTTPReply {
        var reply = try readHead()
        guard !isHead && reply.status >= 200 && reply.status != 304 else { return reply }
        if reply.fields["transfer-encoding"] == "chunked" {
            reply.body = try readChunks()
        } else if let length = reply.fields["content-length"] {
            reply.body = try take(try #require(Int(length)))
        } else {
            try #require(reply.fields["connection"] == "close")
            reply.body = try readToEnd()
        }
        return reply
    }

    private func readChunks() throws -> [UInt8] {
        var body: [UInt8] = []
        while true {
            var line = ""
            while !line.hasSuffix("\r\n") { line.unicodeScalars.append(Unicode.Scalar(try take(1)[0])) }
            let size = try #require(Int(line.dropLast(), radix: 16), "\(line)")
            body += try take(size)
            #expect(try take(2) == Array("\r\n".utf8))
            if size == 0 { return body }
        }
    }

    private func take(_ count: Int) throws -> [UInt8] {
        while received.count < count {
            let bytes = try receive()
            try #require(!bytes.isEmpty, "the connection ended after \(received.count) of \(count) bytes")
            received += bytes
        }
        defer { received.removeFirst(count) }
        return Array(received.prefix(count))
    }

    /// The number of bytes of the next read; 0 at the end.
    func readSome(upTo room: Int = 65536) throws -> Int {
        guard received.isEmpty else {
            defer { received = [] }
            return received.count
        }
        return try receive(room).count
    }

    /// Reads the head of a response; its body remains unread.
    func readHead() throws -> HTTPReply {
        let end = Array("\r\n\r\n".utf8)
        while true {
            if let range = received.firstRange(of: end) {
                defer { received.removeFirst(range.upperBound) }
                return try Self.head(String(decoding: received[..<range.lowerBound], as: UTF8.self))
            }
            let bytes = try receive()
            try #require(!bytes.isEmpty, "the connection ended: \(String(decoding: received, as: UTF8.self))")
            received += bytes
        }
    }

    private static func head(_ text: String) throws -> HTTPReply {
        let lines = text.components(separatedBy: "\r\n")
        let words = lines[0].split(separator: " ")
        try #require(words.count >= 2 && words[0] == "HTTP/1.1", "\(lines[0])")
        var fields: [String: String] = [:]
        for line in lines.dropFirst() {
            let colon = try #require(line.firstIndex(of: ":"))
            fields[line[..<colon].lowercased()] = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
        }
        return HTTPReply(status: try #require(Int(words[1])), fields: fields, body: [])
    }
}
