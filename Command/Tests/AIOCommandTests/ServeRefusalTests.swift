import AIO
import Foundation
import Testing
import UnitSupport

/// What `aio serve` refuses.
@Suite(.timeLimit(.minutes(10))) struct ServeRefusalTests {
    private static let secret = "not for you"

    /// Creates a secret next to the served folder, and all kinds of paths that lead to it.
    private func fill(_ folder: String) throws {
        let outside = URL(filePath: folder).deletingLastPathComponent().path
        try Data(Self.secret.utf8).write(to: URL(filePath: "\(outside)/secret"))
        try Data("inside".utf8).write(to: URL(filePath: "\(folder)/inside"))
        try FileManager.default.createDirectory(atPath: "\(folder)/sub", withIntermediateDirectories: false)
        let links = [
            ("absolute", "\(outside)/secret"), ("relative", "../secret"), ("folder", ".."), ("chain", "relative"),
            ("root", "/"),
            ("within", "sub/../inside"), ("self", "self"), ("magic", "/proc/self/root/etc/hostname"),
            ("sub/up", "../../secret"),
        ]
        for (name, target) in links { try #require(symlink(target, "\(folder)/\(name)") == 0) }
        try #require(mkfifo("\(folder)/fifo", 0o666) == 0)
        let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: "\(folder)/socket".utf8) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(result == 0)
        close(listener)
        // Needs root; otherwise there is one case less.
        _ = mknod("\(folder)/device", S_IFCHR | 0o666, 0x105)
    }

    @Test(arguments: ServeProcess.engines)
    func noPathLeadsOutOfTheFolder(_ engine: EngineKind) throws {
        let server = try ServeProcess(engine, ["--listing"]) { try fill($0) }
        let name = URL(filePath: server.folder).deletingLastPathComponent().lastPathComponent
        let targets = [
            "/../secret", "/sub/../../secret", "/%2e%2e/secret", "/.%2e/secret", "/..%2fsecret",
            "/sub/..%2f..%2fsecret",
            "/%2fvar%2ftmp%2f\(name)%2fsecret", "//var/tmp/\(name)/secret", "/..\\secret", "/absolute", "/relative",
            "/chain",
            "/folder/secret", "/folder/", "/root/var/tmp/\(name)/secret", "/root/", "/sub/up", "/secret%00",
            "/inside%00.html",
            "/magic", "/self", "/fifo", "/socket", "/device", "http://host/../secret", "/inside/../../secret",
            "/./../secret",
            "/" + String(repeating: "a", count: 300), "/" + String(repeating: "sub/../", count: 5) + "../secret",
        ]
        for target in targets {
            let reply = try server.get(target)
            #expect([400, 403, 404].contains(reply.status), "\(target): \(reply.status)")
            #expect(!reply.text.contains(Self.secret), "\(target)")
        }
        #expect(try server.get("/within").text == "inside")
        #expect(try server.get("/sub").status == 301)
        server.stop()
    }

    /// A FIFO without a writer, or a device, must not block anything.
    @Test(arguments: ServeProcess.engines)
    func whatIsNoFileIsNotWaitedFor(_ engine: EngineKind) throws {
        let server = try ServeProcess(engine, ["--loops", "1"]) { try fill($0) }
        let client = try server.connect()
        for target in ["/fifo", "/socket", "/fifo", "/inside"] {
            try client.send(HTTPClient.request(target))
            #expect(try client.readReply().status == (target == "/inside" ? 200 : 403), "\(target)")
        }
        server.stop()
    }

    private static let answers: [(String, Int)] = [
        ("nonsense\r\n\r\n", 400), ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET inside HTTP/1.1\r\nHost: a\r\n\r\n", 400), ("GET /% HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /missing HTTP/1.1\r\nHost: a\r\n\r\n", 404), ("GET /fifo HTTP/1.1\r\nHost: a\r\n\r\n", 403),
        ("POST / HTTP/1.1\r\nHost: a\r\n\r\n", 405), ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        ("PUT /inside HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", 405),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n", 413),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n11171\r\n"
                + String(repeating: "x", count: 70_001), 413
        ),
        ("GET /" + String(repeating: "a", count: 5000) + " HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        ("GET /" + String(repeating: "a", count: 40_000), 414),
        ("GET / HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\n\r\n", 417),
        ("GET / HTTP/1.1\r\nHost: a\r\nA: " + String(repeating: "a", count: 40_000), 431),
        ("FROB / HTTP/1.1\r\nHost: a\r\n\r\n", 501), ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        ("GET /inside HTTP/1.1\r\nHost: a\r\nIf-Match: \"x\"\r\n\r\n", 412),
        ("GET /inside HTTP/1.1\r\nHost: a\r\nRange: bytes=6-\r\n\r\n", 416),
    ]

    @Test(arguments: ServeProcess.engines)
    func eachRefusalHasItsStatus(_ engine: EngineKind) throws {
        let server = try ServeProcess(engine) { try fill($0) }
        for (request, status) in Self.answers {
            let client = try server.connect()
            // Sends everything: the response must arrive although the server does not read the rest.
            client.sendAsMuchAsGoes(Array(request.utf8))
            let reply = try client.readReply()
            #expect(reply.status == status, "\(request.prefix(60)): \(reply.status)")
            #expect((reply.fields["allow"] == "GET, HEAD") == (status == 405))
            if reply.fields["connection"] == "close" {
                client.shutdownWrite()
                #expect(try client.readToEnd().isEmpty)
            } else {
                try client.send(HTTPClient.request("/inside"))
                #expect(try client.readReply().text == "inside", "\(request.prefix(60))")
            }
        }
        server.stop()
    }

    /// An answer is built in memory of a fixed size.
    @Test(arguments: ServeProcess.engines)
    func aRedirectThatIsTooLongIsRefused(_ engine: EngineKind) throws {
        let server = try ServeProcess(engine, ["--head-size", "1M"]) { try fill($0) }
        for (count, status) in [(30_000, 301), (100_000, 414)] {
            let query = String(repeating: "a", count: count)
            let reply = try server.get("/sub?\(query)")
            #expect(reply.status == status, "\(count)")
            if status == 301 { #expect(reply.fields["location"] == "/sub/?\(query)") }
        }
        server.stop()
    }

    @Test func wrongUsageIsOneLine() throws {
        let folder = "/var/tmp/aio-serve-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try Data().write(to: URL(filePath: "\(folder)/file"))
        let busy = try ServeProcess(.threads)
        let cases: [([String], Int32, String)] = [
            (["\(folder)/missing"], 1, "missing"), (["\(folder)/file"], 1, "file"), ([], 2, "dir"),
            (["--listen", "nowhere", folder], 1, "nowhere"), (["--listen", "unix:", folder], 1, "unix:"),
            (["--listen", "127.0.0.1:\(busy.port)", folder], 1, "in use"),
            (["--listen", "unix:\(folder)/file", folder], 1, "in use"),
            (["--listen", "192.0.2.1:80", folder], 1, "192.0.2.1"), (["--engine", "steam", folder], 2, "io_uring"),
            (["--loops", "0", folder], 2, "--loops"), (["--connections", "0", folder], 2, "--connections"),
            (["--connections", "1000000", folder], 1, "RLIMIT_NOFILE"),
            (["--head-size", "1", folder], 2, "--head-size"),
            (["--idle-time", "0", folder], 2, "--idle-time"),
        ]
        for (arguments, status, word) in cases {
            let outcome = try run(arguments)
            #expect(outcome.status == status, "\(arguments): \(outcome)")
            #expect(outcome.errors.split(separator: "\n").count == 1 && outcome.errors.contains(word), "\(outcome)")
        }
        busy.stop()
    }

    private func run(_ arguments: [String]) throws -> (status: Int32, errors: String) {
        let process = Process()
        process.executableURL = ServeProcess.program
        process.arguments = ["serve"] + (arguments.contains("--listen") ? [] : ["--listen", "127.0.0.1:0"]) + arguments
        let errors = Foundation.Pipe()
        process.standardError = errors
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        let text = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, text)
    }
}
