import Testing
import UnitSupport

@testable import AIOCommand

@Suite struct RequestDecoderTests {
    private let decoder = RequestDecoder(headSizeMax: 4096)

    private func feed(_ text: String) { Array(text.utf8).withUnsafeBytes { decoder.feed($0) } }

    /// The targets of the requests so far, and the refusal of the rest.
    private func take() -> (targets: [String], refusal: Status?) {
        var targets: [String] = []
        while let part = decoder.nextPart() { if case .head(let head) = part { targets.append(Request(head).target) } }
        return (targets, decoder.refusal?.status)
    }

    @Test func requestsComeInTheirOrderHoweverTheirBytesDo() {
        let text = "GET /a HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\n\r\n\r\nHEAD /b HTTP/1.1\r\n\r\n"
        feed(text)
        #expect(take().targets == ["/a", "/b"] && decoder.isBetweenRequests)
        var targets: [String] = []
        for byte in text.utf8 {
            withUnsafeBytes(of: byte) { decoder.feed($0) }
            targets += take().targets
        }
        #expect(targets == ["/a", "/b"] && decoder.isBetweenRequests && decoder.refusal == nil)
    }

    @Test func aPartOfARequestIsNoPauseBetweenRequests() {
        for (text, isBetween) in [
            ("G", false), ("ET /a HTTP/1.1\r\nHost: a\r\n", false), ("\r\n", true),
            ("GET /b HTTP/1.1\r\n\r\nGET", false),
            (" /c HTTP/1.1\r\n\r\n", true), ("GET /d HTTP/1.1\r\nContent-Length: 3\r\n\r\n", false), ("ab", false),
            // This ends a body, but could also hold the beginning of a request, which the decoder assumes.
            ("c", false),
        ] {
            feed(text)
            #expect(decoder.isBetweenRequests == isBetween, "\(text)")
        }
        #expect(take().targets == ["/a", "/b", "/c", "/d"])
    }

    @Test func whatIsWrongIsSaidAfterTheRequestsBefore() {
        feed("GET /a HTTP/1.1\r\n\r\nnonsense\r\n\r\n")
        let (targets, refusal) = take()
        #expect(targets == ["/a"] && refusal == .badRequest)
    }

    @Test(arguments: [
        ("\u{16}\u{3}\u{1}", Status.badRequest), ("FROB / HTTP/1.1\r\n\r\n", .notImplemented),
        ("get / HTTP/1.1\r\n\r\n", .badRequest),
        ("GET / HTTP/2.0\r\n\r\n", .versionNotSupported), ("GET / HTTQ/1.1\r\n\r\n", .badRequest),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", .versionNotSupported),
        ("GET / HTTP/1.1\r\nA b: c\r\n\r\n", .badRequest), ("GET / HTTP/1.1\r\n: c\r\n\r\n", .badRequest),
        ("GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", .badRequest),
        ("GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", .badRequest),
        ("GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", .badRequest),
        ("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", .badRequest),
    ])
    func nonsenseIsRefused(_ text: String, _ status: Status) {
        feed(text)
        #expect(take().refusal == status, "\(text)")
    }

    @Test func largeHeadsAreRefusedByWhatIsLarge() {
        feed("GET /" + String(repeating: "a", count: 5000))
        #expect(take().refusal == .uriTooLong)
        let other = RequestDecoder(headSizeMax: 4096)
        Array(("GET / HTTP/1.1\r\nA: " + String(repeating: "a", count: 5000)).utf8).withUnsafeBytes { other.feed($0) }
        #expect(other.refusal?.status == .headerFieldsTooLarge)
    }

    @Test func manyFieldsAreTooMany() {
        feed("GET / HTTP/1.1\r\n" + String(repeating: "A:\r\n", count: 200) + "\r\n")
        #expect(take().refusal == .headerFieldsTooLarge)
    }

    /// Arbitrary bytes in arbitrary pieces end in requests or a refusal, and never in a crash.
    @Test func randomBytesDoNoHarm() {
        var random = SeededGenerator("randomBytesDoNoHarm")
        let words = [
            "GET ", "/", " HTTP/1.1", "\r\n", "\n", "Host: a", ":", "Content-Length: 5", "Transfer-Encoding: chunked",
            "\r\n\r\n", "5\r\nhello\r\n", "0\r\n\r\n", "\0", "\u{ff}", "Upgrade: x", "Connection: upgrade",
            "CONNECT a:1",
        ]
        for _ in 0..<2000 {
            let decoder = RequestDecoder(headSizeMax: 1024)
            for _ in 0..<Int.random(in: 1...40, using: &random) where decoder.refusal == nil {
                let word =
                    Bool.random(using: &random)
                    ? words.randomElement(using: &random)! : "\(UInt8.random(in: 0...255, using: &random))"
                Array(word.utf8).withUnsafeBytes { decoder.feed($0) }
                while decoder.nextPart() != nil {}
            }
        }
    }
}
