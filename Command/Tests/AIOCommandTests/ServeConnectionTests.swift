import AIO
import Foundation
import Testing
import UnitSupport

/// `aio serve`: connections that persist, and how they end.
@Suite(.timeLimit(.minutes(10))) struct ServeConnectionTests {
    /// More than the kernel buffers for a client that does not read.
    private static let largeSize = 64 << 20

    private func server(_ engine: EngineKind, _ options: [String] = []) throws -> ServeProcess {
        try ServeProcess(engine, options) { folder in
            try Data("text".utf8).write(to: URL(filePath: "\(folder)/text"))
            try Data().write(to: URL(filePath: "\(folder)/large"))
            try #require(truncate("\(folder)/large", off_t(Self.largeSize)) == 0)
        }
    }

    private let text = HTTPClient.request("/text")

    @Test(arguments: ServeProcess.engines)
    func connectionsAreKeptAsTheClientWishes(_ engine: EngineKind) throws {
        let server = try server(engine)
        for (version, field, isKept) in [
            ("1.1", "A: b", true), ("1.1", "Connection: close", false), ("1.0", "A: b", false),
            ("1.0", "Connection: keep-alive", true), ("1.1", "Upgrade: h2c\r\nConnection: upgrade", false),
        ] {
            let client = try server.connect()
            let request = "GET /text HTTP/\(version)\r\nHost: a\r\n\(field)\r\n\r\n"
            try client.send(request)
            let reply = try client.readReply()
            #expect(reply.text == "text")
            #expect(
                reply.fields["connection"] == (!isKept ? "close" : version == "1.0" ? "keep-alive" : nil), "\(field)")
            if isKept {
                try client.send(request)
                #expect(try client.readReply().text == "text")
            } else {
                #expect(try client.readToEnd().isEmpty)
            }
        }
        server.stop()
    }

    @Test(arguments: ServeProcess.engines)
    func pipelinedRequestsAreAnsweredInTheirOrder(_ engine: EngineKind) throws {
        let server = try server(engine)
        let client = try server.connect()
        let targets = (0..<200).map { ["/text", "/missing", "/large", "/"][$0 % 4] }
        let requests = targets.map { HTTPClient.request($0, method: $0 == "/large" ? "HEAD" : "GET") }
        try client.send(requests.joined())
        for target in targets {
            let reply = try client.readReply(isHead: target == "/large")
            #expect(reply.status == ["/text": 200, "/missing": 404, "/large": 200, "/": 403][target], "\(target)")
        }
        // Byte by byte, and then two requests whose boundary is within a piece.
        for byte in (text + text).utf8 { try client.send([byte]) }
        #expect(try client.readReply().text == "text" && client.readReply().text == "text")
        let (first, second) = (text + text.prefix(20), text.dropFirst(20))
        try client.send(first)
        #expect(try client.readReply().text == "text")
        try client.send(String(second))
        #expect(try client.readReply().text == "text")
        server.stop()
    }

    @Test(arguments: ServeProcess.engines)
    func bodiesAreReadAndDropped(_ engine: EngineKind) throws {
        let server = try server(engine)
        let client = try server.connect()
        // A body that looks like a request must not be taken for one.
        let body = HTTPClient.request("/missing")
        try client.send(HTTPClient.request("/text", ["Content-Length: \(body.utf8.count)"]) + body + text)
        #expect(try client.readReply().text == "text" && client.readReply().text == "text")
        let chunks = "5\r\nhello\r\n1\r\n!\r\n0\r\nA: b\r\n\r\n"
        try client.send(HTTPClient.request("/text", ["Transfer-Encoding: chunked"]) + chunks + text)
        #expect(try client.readReply().text == "text" && client.readReply().text == "text")
        try client.send(HTTPClient.request("/text", ["Content-Length: 3", "Expect: 100-continue"]))
        #expect(try client.readReply().status == 100)
        try client.send("abc" + text)
        #expect(try client.readReply().text == "text" && client.readReply().text == "text")
        try client.send(HTTPClient.request("/text", ["Content-Length: 30000000", "Expect: 100-continue"]))
        #expect(try client.readReply().status == 413)
        client.shutdownWrite()
        #expect(try client.readToEnd().isEmpty)
        server.stop()
    }

    @Test(arguments: ServeProcess.engines)
    func whoHasNothingMoreToSayIsStillAnswered(_ engine: EngineKind) throws {
        let server = try server(engine)
        let client = try server.connect()
        try client.send(HTTPClient.request("/large") + text)
        client.shutdownWrite()
        #expect(try client.readReply().body.count == Self.largeSize)
        #expect(try client.readReply().text == "text")
        #expect(try client.readToEnd().isEmpty)
        server.stop()
    }

    // MARK: Limits

    @Test(arguments: ServeProcess.engines)
    func whoIsSlowIsEndedAndHoldsNobodyUp(_ engine: EngineKind) throws {
        let server = try server(
            engine, ["--loops", "1", "--head-time", "300ms", "--idle-time", "300ms", "--stall-time", "300ms"])
        let before = server.descriptorCount
        let (idle, slow, deaf, body) = (
            try server.connect(), try server.connect(), try server.connect(), try server.connect()
        )
        try slow.send("GET /text HTTP/1.1\r\nHo")
        try deaf.send(HTTPClient.request("/large"))
        try body.send(HTTPClient.request("/text", ["Content-Length: 10"]) + "abc")
        #expect(try server.ask(text).text == "text")
        #expect(try idle.readToEnd().isEmpty)
        #expect(try slow.readReply().status == 408)
        #expect(try body.readReply().status == 408)
        // The server has closed the connections, although the kernel still has data for them.
        #expect(eventually { server.descriptorCount == before })
        #expect(try deaf.countToEnd() < Self.largeSize)
        #expect(try server.ask(text).text == "text")
        server.stop()
    }

    @Test(arguments: ServeProcess.engines)
    func aPartOfAPipelinedHeadHasTheTimeOfAHead(_ engine: EngineKind) throws {
        let server = try server(engine, ["--head-time", "300ms", "--idle-time", "600"])
        for first in [text, HTTPClient.request("/text", ["Transfer-Encoding: chunked"]) + "0\r\n\r\n"] {
            let client = try server.connect()
            try client.send(first + text.prefix(20))
            #expect(try client.readReply().text == "text")
            #expect(try client.readReply().status == 408)
        }
        server.stop()
    }

    /// Where a body ends, nothing of a next request may have come.
    @Test(arguments: ServeProcess.engines)
    func aConnectionIsIdleAfterABody(_ engine: EngineKind) throws {
        let server = try server(engine, ["--head-time", "200ms", "--idle-time", "1s"])
        for request in [text, HTTPClient.request("/text", ["Content-Length: 3"]) + "abc"] {
            let client = try server.connect()
            try client.send(request)
            #expect(try client.readReply().text == "text")
            #expect(try client.readToEnd().isEmpty)
        }
        server.stop()
    }

    /// A client that sends a byte now and then still exceeds the time for a request.
    @Test(arguments: ServeProcess.engines)
    func aTrickleOfBytesDoesNotKeepARequestAlive(_ engine: EngineKind) throws {
        let server = try server(engine, ["--head-time", "300ms"])
        let client = try server.connect()
        try client.send("GET /text HTTP/1.1\r\nHost: a\r\n")
        while !client.hasInput {
            client.sendAsMuchAsGoes(Array("A: b\r\n".utf8))
            sched_yield()
        }
        #expect([408, 431].contains(try client.readReply().status))
        server.stop()
    }

    @Test(arguments: ServeProcess.engines)
    func atTheLimitOfConnectionsMoreOfThemWait(_ engine: EngineKind) throws {
        let server = try server(engine, ["--connections", "2"])
        let (first, second) = (try server.connect(), try server.connect())
        for client in [first, second] {
            try client.send(text)
            #expect(try client.readReply().text == "text")
        }
        let third = try server.connect()
        try third.send(text)
        // As long as the others are served, the third is not.
        for _ in 0..<100 {
            try first.send(text)
            #expect(try first.readReply().text == "text")
            #expect(!third.hasInput)
        }
        shutdown(second.descriptor, Int32(SHUT_RDWR))
        #expect(try third.readReply().text == "text")
        server.stop()
    }

    @Test(arguments: ServeProcess.engines)
    func garbageHarmsNobody(_ engine: EngineKind) throws {
        let server = try server(engine)
        let before = server.descriptorCount
        var random = SeededGenerator("garbageHarmsNobody")
        let steady = try server.connect()
        for turn in 0..<200 {
            let client = try server.connect()
            let start = ["", "GET ", "GET /text HTTP/1.1\r\n", "\u{16}\u{3}\u{1}"][turn % 4]
            let noise = (0..<Int.random(in: 0...5000, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            client.sendAsMuchAsGoes(Array(start.utf8) + noise)
            // Some clients leave without waiting for the response, some with a reset.
            if turn % 3 == 0 {
                var linger = Glibc.linger(l_onoff: 1, l_linger: 0)
                setsockopt(
                    client.descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
            } else if turn % 3 == 1 {
                client.shutdownWrite()
                _ = try client.readToEnd()
            }
            try steady.send(text)
            #expect(try steady.readReply().text == "text")
        }
        shutdown(steady.descriptor, Int32(SHUT_RDWR))
        #expect(eventually { server.descriptorCount == before })
        server.stop()
    }

    /// Pipelined requests must not accumulate in memory.
    @Test(arguments: ServeProcess.engines)
    func aClientThatAsksAndNeverReadsTakesNoMemory(_ engine: EngineKind) throws {
        let server = try server(engine, ["--stall-time", "500ms"])
        let before = server.descriptorCount
        #expect(try server.ask(text).text == "text")
        let memory = server.memory
        let clients = try (0..<20).map { _ in try server.connect() }
        let many = Array(String(repeating: HTTPClient.request("/large"), count: 1000).utf8)
        for client in clients {
            _ = fcntl(client.descriptor, F_SETFL, O_NONBLOCK)
            client.sendAsMuchAsGoes(many)
        }
        #expect(eventually { server.descriptorCount == before })
        #expect(server.memory < memory + (32 << 20))
        server.stop()
    }

    // MARK: Shutdown

    @Test(arguments: ServeProcess.engines, [SIGTERM, SIGINT])
    func whatIsUnderWayIsFinishedWhenTheServerIsToldToEnd(_ engine: EngineKind, _ number: Int32) throws {
        let server = try server(engine, ["--loops", "1"])
        let (idle, busy, asking) = (try server.connect(), try server.connect(), try server.connect())
        try idle.send(text)
        #expect(try idle.readReply().text == "text")
        try busy.send(HTTPClient.request("/large"))
        #expect(try busy.readHead().status == 200)
        try asking.send("GET /text HTTP/1.1\r\n")
        // When the other request has been answered, this one has been read.
        #expect(try server.ask(text).text == "text")
        server.signal(number)
        #expect(try idle.readToEnd().isEmpty)
        #expect(server.isRunning)
        try asking.send("Host: a\r\n\r\n")
        let answer = try asking.readReply()
        #expect(answer.text == "text" && answer.fields["connection"] == "close")
        #expect(HTTPClient.isRefused(at: server.port))
        #expect(try busy.countToEnd() == Self.largeSize)
        #expect(server.wait() == 0)
        #expect(server.complaints == "")
    }

    @Test(arguments: ServeProcess.engines)
    func aClientThatDoesNotReadDoesNotKeepTheServerFromItsEnd(_ engine: EngineKind) throws {
        let server = try server(engine, ["--shutdown-time", "200ms"])
        let deaf = try server.connect()
        try deaf.send(HTTPClient.request("/large"))
        #expect(try deaf.readHead().status == 200)
        server.stop()
        #expect(try deaf.countToEnd() < Self.largeSize)
    }
}
