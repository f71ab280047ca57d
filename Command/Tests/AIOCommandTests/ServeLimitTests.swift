import AIO
import Foundation
import Testing
import UnitSupport

@testable import AIOCommand

/// `aio serve` at its limits: numbers, lengths, listings, and clients that do not read.
@Suite(.timeLimit(.minutes(10))) struct ServeLimitTests {
    // MARK: Numbers

    @Test func rangesOfTheLargestFilesAreCountedWithoutOverflow() {
        let size = Int64.max
        #expect(ByteRanges("bytes=0-,0-", size: size) == .whole)
        #expect(ByteRanges("bytes=0-,0-,0-,0-", size: size) == .whole)
        #expect(ByteRanges("bytes=9223372036854775800-", size: size) == .parts([9_223_372_036_854_775_800..<size]))
        #expect(ByteRanges("bytes=0-99999999999999999999", size: size) == .parts([0..<size]))
        #expect(ByteRanges("bytes=-99999999999999999999", size: size) == .parts([0..<size]))
        #expect(ByteRanges("bytes=9223372036854775807-", size: size) == .unsatisfiable)
        #expect(ByteRanges("bytes=0-9223372036854775805,0-0", size: size) == .parts([0..<(size - 1), 0..<1]))
    }

    @Test(arguments: ServeProcess.engines)
    func theLargestFileIsServed(_ engine: EngineKind) throws {
        let huge = "/dev/shm/aio-serve-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: huge, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: huge) }
        guard try CommandRun(["truncate", "-s", "9223372036854775807", "huge"], in: huge).status == 0 else {
            try Test.cancel("\(skipped("no file can be so large"))")
        }
        // The served folder is replaced by a link to the one in memory.
        let server = try ServeProcess(engine) { folder in
            try FileManager.default.removeItem(atPath: folder)
            try FileManager.default.createSymbolicLink(atPath: folder, withDestinationPath: huge)
        }
        let end = try server.get("/huge", ["Range: bytes=9223372036854775800-", "Connection: close"])
        #expect(end.status == 206 && end.body == [UInt8](repeating: 0, count: 7))
        for range in ["bytes=0-,0-", "bytes=0-9223372036854775805,0-0", "bytes=0-", "bytes=-9223372036854775807"] {
            let client = try server.connect()
            try client.send(HTTPClient.request("/huge", ["Range: \(range)"], method: "HEAD"))
            #expect(try client.readReply(isHead: true).status == 200)
            // The response is endless; some of it suffices.
            let reader = try server.connect()
            try reader.send(HTTPClient.request("/huge", ["Range: \(range)"]))
            #expect(try reader.readSome() > 0)
        }
        #expect(server.isRunning)
        server.stop()
    }

    // MARK: Framing

    @Test(arguments: ServeProcess.engines)
    func chunksOfAnOlderVersionEndTheConnection(_ engine: EngineKind) throws {
        let server = try ServeProcess(engine) { try Data("text".utf8).write(to: URL(filePath: "\($0)/f")) }
        let client = try server.connect()
        let second = "GET /f HTTP/1.0\r\n\r\n"
        try client.send(
            "GET /f HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\(second)")
        let reply = try client.readReply(isHead: false)
        #expect(reply.status == 200 && reply.fields["connection"] == "close")
        #expect(try client.readSome() == 0)
        server.stop()
    }

    @Test(arguments: ServeProcess.engines)
    func whatChunksHaveBesideContentIsLimited(_ engine: EngineKind) throws {
        let server = try ServeProcess(engine, ["--body-size", "4k"]) {
            try Data("text".utf8).write(to: URL(filePath: "\($0)/f"))
        }
        let head = "GET /f HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        for part in ["1;" + String(repeating: "a", count: 20_000), String(repeating: "1\r\nx\r\n", count: 3000)] {
            let client = try server.connect()
            try client.send(head + part)
            #expect(try client.readReply(isHead: false).status == 413)
        }
        let client = try server.connect()
        try client.send(head + "3;name=value\r\nabc\r\n1\r\nd\r\n0\r\n\r\n")
        #expect(try client.readReply(isHead: false).text == "text")
        server.stop()
    }

    @Test(arguments: [
        ("example.org", true), ("example.org:80", true), ("", true), ("127.0.0.1:8080", true), ("[::1]", true),
        ("[::1]:80", true), ("a_b-c.d~e", true), ("%41", true), ("x:", true), ("a b/c@d", false), ("a, b", false),
        ("user@x", false), ("a/b", false), ("x:80a", false), ("x:65536", false), ("[::1", false), ("[]", false),
        ("a:b:1", false), ("%4", false), ("a\"b", false), ("a<b", false), ("x?y", false), ("x#y", false),
        ("a\\b", false),
    ])
    func aHostIsANameOrAnAddress(_ host: String, _ isValid: Bool) {
        #expect(HostField.isValid(host) == isValid, "\(host)")
    }

    @Test(arguments: ServeProcess.engines)
    func faultyHostsAndLineEndsAreBadRequests(_ engine: EngineKind) throws {
        let server = try ServeProcess(engine) { try Data("text".utf8).write(to: URL(filePath: "\($0)/f")) }
        for request in [
            "GET /f HTTP/1.1\r\nHost: a, b\r\n\r\n", "GET http://user@x/f HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /f HTTP/1.1\nHost: x\n\n", "GET /f HTTP/1.1\r\nHost: x\n\r\n", "GET /f HTTP/1.0\n\n",
        ] {
            #expect(try server.ask(request).status == 400, "\(request)")
        }
        #expect(try server.ask("GET /f HTTP/2.0\r\n\r\n").status == 505)
        server.stop()
    }

    @Test(arguments: ServeProcess.engines)
    func aCompressedDrawingSaysSo(_ engine: EngineKind) throws {
        let server = try ServeProcess(engine) { folder in
            for name in ["a.svgz", "a.svg", "a.gz"] {
                try Data("text".utf8).write(to: URL(filePath: "\(folder)/\(name)"))
            }
        }
        let reply = try server.get("/a.svgz")
        #expect(reply.fields["content-type"] == "image/svg+xml" && reply.fields["content-encoding"] == "gzip")
        #expect(try server.get("/a.svgz", ["Range: bytes=0-1"]).fields["content-encoding"] == "gzip")
        #expect(try server.get("/a.svg").fields["content-encoding"] == nil)
        #expect(try server.get("/a.gz").fields["content-encoding"] == nil)
        server.stop()
    }

    // MARK: Listings

    private func many(_ count: Int) -> (String) throws -> Void {
        { folder in
            try Data("x".utf8).write(to: URL(filePath: "\(folder)/file"))
            try FileManager.default.createDirectory(atPath: "\(folder)/l", withIntermediateDirectories: false)
            for index in 0..<count {
                try #require(mkfifo("\(folder)/l/a-photo-from-our-holiday-\(String(index + 100_000))", 0o600) == 0)
            }
        }
    }

    @Test(arguments: ServeProcess.engines)
    func aLongListingIsSentInOrderAndWhole(_ engine: EngineKind) throws {
        let server = try ServeProcess(engine, ["--listing"], prepare: many(3000))
        let client = try server.connect()
        try client.send(HTTPClient.request("/l/", []))
        let page = try client.readReply(isHead: false)
        #expect(page.status == 200 && page.fields["transfer-encoding"] == "chunked")
        let names = page.text.split(separator: "<a href=\"./").dropFirst().map { $0.prefix { $0 != "\"" } }
        #expect(names.count == 3000 && names == names.sorted())
        #expect(page.text.hasSuffix("</body></html>\n"))
        // The connection persists. A client of the older version gets the listing up to the end of its connection.
        try client.send(HTTPClient.request("/file", []))
        #expect(try client.readReply(isHead: false).text == "x")
        let old = try server.ask("GET /l/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        #expect(old.fields["transfer-encoding"] == nil && old.fields["connection"] == "close")
        #expect(old.text == page.text)
        let head = try server.get("/l/", [], method: "HEAD")
        #expect(head.status == 200 && head.body.isEmpty)
        server.stop()
    }

    @Test(arguments: ServeProcess.engines)
    func whoDoesNotReadAListingCostsAPieceOfIt(_ engine: EngineKind) throws {
        let server = try ServeProcess(engine, ["--listing"], prepare: many(3000))
        let before = server.memory
        var clients: [HTTPClient] = []
        for _ in 0..<100 {
            let client = try server.connect()
            try client.send(HTTPClient.request("/l/", []))
            clients.append(client)
        }
        // All get the part of the response that they read, and others are served meanwhile.
        for client in clients { #expect(try client.readSome(upTo: 1) == 1) }
        #expect(try server.get("/file").text == "x")
        #expect(server.memory - before < 100 * (256 << 10), "\((server.memory - before) >> 20) MiB")
        server.stop()
    }

    // MARK: The access log

    @Test(arguments: ServeProcess.engines)
    func aLogThatNobodyReadsDoesNotHoldUpTheEnd(_ engine: EngineKind) throws {
        let server = try ServeProcess(engine, ["--access-log", "--shutdown-time", "1s"]) {
            try Data("x".utf8).write(to: URL(filePath: "\($0)/file"))
        }
        // More than fits into a pipe.
        let client = try server.connect()
        for _ in 0..<3000 {
            try client.send(HTTPClient.request("/file", []))
            _ = try client.readReply(isHead: false)
        }
        server.signal(SIGTERM)
        #expect(server.wait() == 0)
        #expect(server.complaints.contains("standard output is not read"))
    }
}
