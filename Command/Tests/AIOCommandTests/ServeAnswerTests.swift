import AIO
import Foundation
import Testing
import UnitSupport

/// `aio serve` as a client sees it: requests and their responses.
@Suite(.timeLimit(.minutes(10))) struct ServeAnswerTests {
    private static let large = (0..<(5 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 16) }
    private static let text = Array("0123456789abcdefghijklmnopqrstuvwxyz".utf8)

    private func write(_ bytes: [UInt8], _ path: String) throws { try Data(bytes).write(to: URL(filePath: path)) }

    /// Creates some files, all with a modification time an hour ago.
    private func fill(_ folder: String) throws {
        for name in ["folder", "empty", "folder/deep", "in dex"] {
            try FileManager.default.createDirectory(atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
        }
        try write(Array("<p>top</p>".utf8), "\(folder)/index.html")
        try write(Array("<p>folder</p>".utf8), "\(folder)/folder/index.html")
        try write(Self.text, "\(folder)/text.txt")
        try write(Self.large, "\(folder)/large.bin")
        try write([], "\(folder)/nothing.css")
        try write(Self.text, "\(folder)/a b%<&\">.txt")
        for name in try FileManager.default.subpathsOfDirectory(atPath: folder) {
            try FileManager.default.setAttributes(
                [.modificationDate: Date(timeIntervalSince1970: 1_700_000_000)], ofItemAtPath: "\(folder)/\(name)")
        }
    }

    private func server(_ engine: EngineKind, _ options: [String] = []) throws -> ServeProcess {
        try ServeProcess(engine, options) { try fill($0) }
    }

    @Test(arguments: ServeProcess.engines)
    func filesAreAnsweredAsTheyAre(_ engine: EngineKind) throws {
        let server = try server(engine)
        let before = server.descriptorCount
        #expect(server.greeting.contains("engine \(engine): requested"))
        let cases: [(String, [UInt8], String)] = [
            ("/", Array("<p>top</p>".utf8), "text/html; charset=utf-8"),
            ("/folder/", Array("<p>folder</p>".utf8), "text/html; charset=utf-8"),
            ("/text.txt", Self.text, "text/plain; charset=utf-8"),
            ("/large.bin", Self.large, "application/octet-stream"),
            ("/nothing.css", [], "text/css; charset=utf-8"),
            ("/a%20b%25%3C&%22%3E.txt?query", Self.text, "text/plain; charset=utf-8"),
        ]
        let client = try server.connect()
        for (target, body, type) in cases {
            try client.send(HTTPClient.request(target))
            let reply = try client.readReply()
            #expect(reply.status == 200 && reply.body == body && reply.fields["content-type"] == type, "\(target)")
            #expect(reply.fields["accept-ranges"] == "bytes" && reply.fields["connection"] == nil)
            #expect(reply.fields["last-modified"] == "Tue, 14 Nov 2023 22:13:20 GMT")
            #expect(reply.fields["etag"]?.hasPrefix("\"") == true && reply.fields["date"]?.hasSuffix(" GMT") == true)
            try client.send(HTTPClient.request(target, method: "HEAD"))
            var head = try client.readReply(isHead: true)
            head.fields["date"] = reply.fields["date"]
            #expect(head.status == 200 && head.body.isEmpty && head.fields == reply.fields, "\(target)")
        }
        shutdown(client.descriptor, Int32(SHUT_RDWR))
        #expect(eventually { server.descriptorCount == before })
        server.stop()
    }

    @Test(arguments: ServeProcess.engines)
    func foldersLeadToTheirIndexOrTheirNames(_ engine: EngineKind) throws {
        let plain = try server(engine)
        let redirect = try plain.get("/folder?a=b")
        #expect(redirect.status == 301 && redirect.fields["location"] == "/folder/?a=b")
        #expect(try plain.get("//folder").fields["location"] == "/folder/")
        #expect(try plain.get("/in%20dex").fields["location"] == "/in%20dex/")
        #expect(try plain.get("/empty/").status == 403)
        #expect(try plain.get("/missing/").status == 404)
        #expect(try plain.get("/text.txt/").status == 404)
        plain.stop()

        let listing = try server(engine, ["--listing"])
        try FileManager.default.moveItem(
            atPath: "\(listing.folder)/index.html", toPath: "\(listing.folder)/javascript:alert(1)")
        let page = try listing.get("/")
        #expect(page.status == 200 && page.fields["content-type"] == "text/html; charset=utf-8")
        #expect(page.text.contains("<a href=\"./a%20b%25%3C%26%22%3E.txt\">a b%&lt;&amp;&quot;&gt;.txt</a>"))
        #expect(page.text.contains("<a href=\"./javascript%3Aalert%281%29\">"))
        #expect(page.text.contains("<a href=\"./folder/\">folder/</a>") && !page.text.contains("href=\"../\""))
        #expect(try listing.get("/empty/").text.contains("href=\"../\""))
        #expect(try listing.get("/folder/").text == "<p>folder</p>")
        #expect(try listing.get("/missing/").status == 404)
        listing.stop()
    }

    @Test(arguments: ServeProcess.engines)
    func partsAreSentAsAskedFor(_ engine: EngineKind) throws {
        let server = try server(engine)
        let cases: [(String, Int, Range<Int>)] = [
            ("bytes=0-9", 206, 0..<10), ("bytes=30-", 206, 30..<36), ("bytes=-4", 206, 32..<36),
            ("bytes=-400", 206, 0..<36),
            ("bytes=35-99", 206, 35..<36), ("lines=1-2", 200, 0..<36), ("bytes=9-1", 200, 0..<36),
        ]
        for (field, status, range) in cases {
            let reply = try server.get("/text.txt", ["Range: \(field)"])
            #expect(reply.status == status && reply.body == Array(Self.text[range]), "\(field)")
            let part = "bytes \(range.lowerBound)-\(range.upperBound - 1)/36"
            #expect(reply.fields["content-range"] == (status == 206 ? part : nil))
        }
        let none = try server.get("/text.txt", ["Range: bytes=36-"])
        #expect(none.status == 416 && none.fields["content-range"] == "bytes */36")
        let head = try server.get("/text.txt", ["Range: bytes=0-9"], method: "HEAD")
        #expect(head.status == 200 && head.fields["content-length"] == "36")
        let middle = try server.get("/large.bin", ["Range: bytes=1000001-4000000"])
        #expect(middle.body == Array(Self.large[1_000_001...4_000_000]))
        try checkParts(server.get("/large.bin", ["Range: bytes=0-0,100000-300000,-2"]))
        server.stop()
    }

    private func checkParts(_ reply: HTTPReply) throws {
        #expect(reply.status == 206)
        let type = try #require(reply.fields["content-type"])
        let boundary = try #require(type.components(separatedBy: "multipart/byteranges; boundary=").last)
        var expected: [UInt8] = []
        let size = Self.large.count
        for range in [0..<1, 100_000..<300_001, (size - 2)..<size] {
            expected += "\r\n--\(boundary)\r\nContent-Type: application/octet-stream\r\n".utf8
            expected += "Content-Range: bytes \(range.lowerBound)-\(range.upperBound - 1)/\(size)\r\n\r\n".utf8
            expected += Self.large[range]
        }
        expected += "\r\n--\(boundary)--\r\n".utf8
        #expect(reply.body == expected)
    }

    @Test(arguments: ServeProcess.engines)
    func conditionsAreHeeded(_ engine: EngineKind) throws {
        let server = try server(engine)
        let first = try server.get("/text.txt")
        let (tag, date) = (try #require(first.fields["etag"]), try #require(first.fields["last-modified"]))
        let same = try server.get("/text.txt", ["If-None-Match: \"x\"", "If-None-Match: \(tag)"])
        #expect(same.status == 304 && same.body.isEmpty && same.fields["etag"] == tag)
        #expect(same.fields["content-length"] == nil)
        #expect(try server.get("/text.txt", ["If-Modified-Since: \(date)"]).status == 304)
        #expect(try server.get("/text.txt", ["If-None-Match: \"x\"", "If-Modified-Since: \(date)"]).status == 200)
        #expect(try server.get("/text.txt", ["If-Match: \"x\""]).status == 412)
        #expect(try server.get("/text.txt", ["If-Unmodified-Since: \(HTTPDateText.before)"]).status == 412)
        #expect(try server.get("/text.txt", ["If-Range: \(tag)", "Range: bytes=1-2"]).text == "12")
        #expect(try server.get("/text.txt", ["If-Range: \"x\"", "Range: bytes=1-2"]).status == 200)
        // Conditions are evaluated before the range.
        #expect(try server.get("/text.txt", ["If-None-Match: \(tag)", "Range: bytes=99-"]).status == 304)
        server.stop()
    }

    private enum HTTPDateText { static let before = "Tue, 14 Nov 2023 22:13:19 GMT" }

    /// On one connection: a cached file must not outlive its replacement.
    @Test(arguments: ServeProcess.engines)
    func aReplacedFileIsAnsweredAnewAtOnce(_ engine: EngineKind) throws {
        let server = try server(engine)
        let client = try server.connect()
        var tags: Set<String> = []
        for turn in 0..<50 {
            let content = Array("content \(turn)".utf8)
            if turn % 2 == 0 {
                try write(content, "\(server.folder)/new")
                try #require(rename("\(server.folder)/new", "\(server.folder)/text.txt") == 0)
            } else {
                try write(content, "\(server.folder)/text.txt")
            }
            try client.send(HTTPClient.request("/text.txt"))
            let reply = try client.readReply()
            #expect(reply.body == content)
            tags.insert(reply.fields["etag"] ?? "")
        }
        #expect(tags.count >= 25)
        try #require(unlink("\(server.folder)/text.txt") == 0)
        try client.send(HTTPClient.request("/text.txt"))
        #expect(try client.readReply().status == 404)
        server.stop()
    }

    /// The response has promised more than there is, so the connection must end.
    @Test(arguments: ServeProcess.engines)
    func aFileThatShrinksEndsItsConnection(_ engine: EngineKind) throws {
        let server = try server(engine)
        let size: Int64 = 200 << 20
        try #require(truncate("\(server.folder)/large.bin", off_t(size)) == 0)
        let client = try server.connect()
        try client.send(HTTPClient.request("/large.bin"))
        #expect(try client.readHead().fields["content-length"] == "\(size)")
        try #require(truncate("\(server.folder)/large.bin", 1 << 20) == 0)
        #expect(try client.countToEnd() < Int(size))
        #expect(try server.get("/text.txt").body == Self.text)
        server.stop()
    }

    @Test(arguments: ServeProcess.engines)
    func eachRequestIsALineOfTheLog(_ engine: EngineKind) throws {
        let server = try server(engine, ["--access-log"])
        _ = try server.get("/text.txt")
        #expect(try #require(server.readLine()).hasSuffix("] \"GET /text.txt HTTP/1.1\" 200 36"))
        _ = try server.get("/%22?\"", method: "HEAD")
        #expect(try #require(server.readLine()).hasSuffix("] \"HEAD /%22?\\x22 HTTP/1.1\" 404 0"))
        _ = try server.ask("nonsense\r\n\r\n")
        let line = try #require(server.readLine())
        #expect(line.hasPrefix("127.0.0.1 - - [") && line.hasSuffix("] \"-\" 400 16"))
        server.stop()
    }

    @Test(arguments: ServeProcess.engines)
    func aUnixDomainSocketIsListenedOnAndGoes(_ engine: EngineKind) throws {
        let path = "/var/tmp/aio-serve-\(UUID().uuidString).socket"
        let server = try ServeProcess(engine, [], listen: "unix:\(path)") { try fill($0) }
        let client = try HTTPClient(path: path)
        try client.send(HTTPClient.request("/text.txt"))
        #expect(try client.readReply().body == Self.text)
        server.stop()
        #expect(!FileManager.default.fileExists(atPath: path))
    }
}
