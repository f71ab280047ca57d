import AIO
import Testing

@testable import AIOCommand

@Suite struct ServeTextTests {
    /// Sun, 06 Nov 1994 08:49:37 GMT.
    private let example: Int64 = 784_111_777
    private let now: Int64 = 1_700_000_000

    @Test func datesAreWrittenAsTheCalendarHasThem() {
        #expect(HTTPDate.text(example) == "Sun, 06 Nov 1994 08:49:37 GMT")
        #expect(HTTPDate.text(0) == "Thu, 01 Jan 1970 00:00:00 GMT")
        #expect(HTTPDate.text(-1) == "Wed, 31 Dec 1969 23:59:59 GMT")
        #expect(HTTPDate.text(951_782_400) == "Tue, 29 Feb 2000 00:00:00 GMT")
        #expect(HTTPDate.text(.max) == "Fri, 31 Dec 9999 23:59:59 GMT")
        #expect(HTTPDate.text(.min) == "Mon, 01 Jan 0001 00:00:00 GMT")
        #expect(HTTPDate.logText(example) == "06/Nov/1994:08:49:37 +0000")
    }

    @Test func allThreeFormsOfADateAreRead() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
        ] {
            #expect(HTTPDate.seconds(text, now: now) == example, "\(text)")
        }
        #expect(HTTPDate.seconds("Sun Nov 13 08:49:37 1994", now: now) == example + 7 * 86400)
        // At most 50 years after 2023.
        #expect(
            HTTPDate.seconds("Monday, 06-Nov-73 08:49:37 GMT", now: now).map(HTTPDate.text)?.contains("2073") == true)
        #expect(
            HTTPDate.seconds("Monday, 06-Nov-74 08:49:37 GMT", now: now).map(HTTPDate.text)?.contains("1974") == true)
    }

    @Test func whatIsNoDateIsNone() {
        for text in [
            "", " ", "yesterday", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 8:49:37 GMT",
            "Sun, 06 nov 1994 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, +6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 0000 08:49:37 GMT", String(repeating: "Sun, ", count: 1000), "Sun Nov 6 08:49:37 1994",
        ] {
            #expect(HTTPDate.seconds(text, now: now) == nil, "\(text)")
        }
    }

    /// The days of eight centuries cover all rules for leap years.
    @Test func aDateThatWasWrittenIsReadAgain() {
        for day in stride(from: Int64(-146_097), to: 146_097, by: 13) {
            let seconds = day * 86400 + 3723
            if HTTPDate.seconds(HTTPDate.text(seconds), now: now) != seconds {
                Issue.record("\(seconds): \(HTTPDate.text(seconds))")
                return
            }
        }
    }

    @Test func rangesAreThoseOfTheField() {
        let cases: [(String?, Int64, ByteRanges)] = [
            (nil, 100, .whole), ("bytes=0-9", 100, .parts([0..<10])), ("bytes=90-", 100, .parts([90..<100])),
            ("bytes=-10", 100, .parts([90..<100])), ("bytes=-1000", 100, .parts([0..<100])),
            ("bytes=95-1000", 100, .parts([95..<100])), ("BYTES=0-0", 100, .parts([0..<1])),
            ("bytes=0-1, 4-5 ,,-2", 100, .parts([0..<2, 4..<6, 98..<100])),
            ("bytes=100-", 100, .unsatisfiable), ("bytes=-0", 100, .unsatisfiable),
            ("bytes=100-200,300-", 100, .unsatisfiable), ("bytes=100-,0-1", 100, .parts([0..<2])),
            ("bytes=0-", 0, .unsatisfiable), ("bytes=-5", 0, .whole),
            ("bytes=99999999999999999999-", 100, .unsatisfiable),
            ("bytes=0-99999999999999999999", 100, .parts([0..<100])),
        ]
        for (field, size, expected) in cases { #expect(ByteRanges(field, size: size) == expected, "\(field ?? "-")") }
    }

    @Test func rangesThatAreNoneArePassedOver() {
        for field in [
            "", "bytes", "bytes=", "bytes=,", "bytes=a-b", "bytes=5-4", "bytes=1", "bytes=--1", "bytes=0-1-2",
            "items=0-1",
            "bytes=0x1-2", "bytes=+1-2", "bytes 0-1", "bytes=0-1;2-3",
            // More than the file has, and more parts than the server sends.
            "bytes=0-,0-,0-", "bytes=" + (0..<17).map { "\($0)-\($0)" }.joined(separator: ","),
        ] {
            #expect(ByteRanges(field, size: 100) == .whole, "\(field)")
        }
    }

    private func validators(ago: Int64 = 1000) -> Validators {
        Validators(inode: 10, size: 20, modified: now - ago, nanoseconds: 5, now: now)
    }

    @Test func aTagIsWeakWhileTheFileMayChangeUnseen() {
        for file in [
            validators(), validators(ago: 0),
            Validators(inode: .max, size: 0, modified: -1, nanoseconds: 999_999_999, now: now),
        ] {
            let buffer = ResponseBuffer()
            file.append(to: buffer)
            #expect(String(decoding: buffer.content, as: UTF8.self) == (file.isWeak ? "W/" : "") + file.tag)
        }
        #expect(!validators().isWeak && validators(ago: 1).isWeak && validators().tag != validators(ago: 1001).tag)
    }

    /// RFC 9110, 13.2.2.
    @Test func conditionsCountInTheirOrder() {
        let file = validators()
        let (same, before) = (HTTPDate.text(file.modified), HTTPDate.text(file.modified - 1))
        let cases: [(Conditions, Conditions.Outcome)] = [
            (Conditions(), .proceed),
            (Conditions(ifMatch: "*"), .proceed), (Conditions(ifMatch: file.tag), .proceed),
            (Conditions(ifMatch: "\"other\", " + file.tag), .proceed), (Conditions(ifMatch: "\"other\""), .failed),
            (Conditions(ifMatch: "W/" + file.tag), .failed), (Conditions(ifMatch: "nonsense"), .failed),
            (Conditions(ifUnmodifiedSince: same), .proceed), (Conditions(ifUnmodifiedSince: before), .failed),
            (Conditions(ifUnmodifiedSince: "nonsense"), .proceed),
            (Conditions(ifMatch: file.tag, ifUnmodifiedSince: before), .proceed),
            (Conditions(ifNoneMatch: "*"), .notModified), (Conditions(ifNoneMatch: "W/" + file.tag), .notModified),
            (Conditions(ifNoneMatch: "\"other\""), .proceed),
            (Conditions(ifModifiedSince: same), .notModified), (Conditions(ifModifiedSince: before), .proceed),
            (Conditions(ifModifiedSince: "nonsense"), .proceed),
            (Conditions(ifNoneMatch: "\"other\"", ifModifiedSince: same), .proceed),
            (Conditions(ifMatch: "\"other\"", ifNoneMatch: file.tag), .failed),
        ]
        for (conditions, expected) in cases {
            #expect(conditions.evaluate(file, now: now) == expected, "\(conditions)")
        }
    }

    /// Last-Modified is never in the future, and a client sends it back.
    @Test func aModificationTimeInTheFutureCountsAsNow() {
        let file = validators(ago: -1000)
        #expect(file.modified == now)
        #expect(Conditions(ifUnmodifiedSince: HTTPDate.text(file.modified)).evaluate(file, now: now) == .proceed)
        #expect(Conditions(ifUnmodifiedSince: HTTPDate.text(now - 1)).evaluate(file, now: now) == .failed)
        #expect(Conditions(ifModifiedSince: HTTPDate.text(now - 1)).evaluate(file, now: now) == .proceed)
        #expect(file.isWeak && file.tag != validators(ago: -1001).tag && file.tag != validators(ago: 0).tag)
    }

    @Test func aRangeCountsForTheSameStateOfTheFileAlone() {
        let (file, young) = (validators(), validators(ago: 0))
        #expect(Conditions().allowRange(file, now: now))
        #expect(Conditions(ifRange: file.tag).allowRange(file, now: now))
        #expect(!Conditions(ifRange: "\"other\"").allowRange(file, now: now))
        #expect(!Conditions(ifRange: "W/" + file.tag).allowRange(file, now: now))
        #expect(!Conditions(ifRange: "W/" + young.tag).allowRange(young, now: now))
        #expect(Conditions(ifRange: HTTPDate.text(file.modified)).allowRange(file, now: now))
        #expect(!Conditions(ifRange: HTTPDate.text(file.modified + 1)).allowRange(file, now: now))
        #expect(!Conditions(ifRange: HTTPDate.text(young.modified)).allowRange(young, now: now))
        #expect(!Conditions(ifRange: "*").allowRange(file, now: now))
    }

    @Test func typesAreThoseOfTheNamesEnds() {
        let cases = [
            ("index.html", "text/html; charset=utf-8"), ("a/b.PNG", "image/png"), ("x.tar.gz", "application/gzip"),
            ("noend", "application/octet-stream"), ("a.b/noend", "application/octet-stream"),
            ("end.", "application/octet-stream"), (".woff2", "font/woff2"), ("", "application/octet-stream"),
            ("a.webmanifest", "application/manifest+json"), ("a.unheardof", "application/octet-stream"),
            ("a." + String(repeating: "x", count: 16), "application/octet-stream"),
            ("a." + String(repeating: "x", count: 1000), "application/octet-stream"),
        ]
        for (name, type) in cases {
            let found = Array(name.utf8).withUnsafeBufferPointer { "\(ContentType.of($0))" }
            #expect(found == type, "\(name)")
        }
    }

    @Test func everyExtensionOfTheTableIsFound() {
        for (extensions, type) in ContentType.table {
            for name in "\(extensions)".split(separator: " ") {
                let found = Array("a.\(name)".utf8).withUnsafeBufferPointer { "\(ContentType.of($0))" }
                #expect(found == "\(type)", "\(name)")
            }
        }
    }

    @Test func targetsBecomePathsBelowTheFolder() throws {
        let cases: [(String, String, Bool)] = [
            ("/", ".", true), ("/a", "a", false), ("/a/", "a/", true), ("//a", "a", false), ("/a?b=/../c", "a", false),
            ("/%61%20b", "a b", false), ("/..a/b..", "..a/b..", false), ("http://host/a", "a", false),
            ("https://host", ".", true), ("http://host?x", ".", true), ("HTTP://host/a/?b", "a/", true),
            ("/./a", "./a", false),
        ]
        for (target, path, endsWithSlash) in cases {
            let parsed = try RequestPath(target)
            #expect(parsed.bytes.elementsEqual(path.utf8) && parsed.endsWithSlash == endsWithSlash, "\(target)")
            #expect(parsed.cString.last == 0)
        }
        #expect(try RequestPath("/a/").appending("index.html").bytes.elementsEqual("a/index.html".utf8))
        #expect(try RequestPath("/").appending("index.html").bytes.elementsEqual("./index.html".utf8))
    }

    @Test(arguments: [
        "", "a", "*", "/..", "/../a", "/a/..", "/a/../b", "/%2e%2e/a", "/.%2E", "/%00", "/a%2Fb", "/a%2fb", "/%", "/%4",
        "/%zz",
        "/%+1", "ftp://host/a", "/a#b", "/a b", "/\u{fffd}", "/a\u{7f}", "host:80",
    ])
    func targetsThatLeadElsewhereAreRefused(_ target: String) {
        #expect(throws: Refusal.self) { try RequestPath(target) }
    }

    @Test func pathsLongerThanTheKernelTakesAreRefused() throws {
        #expect(try RequestPath("/" + String(repeating: "a", count: 4095)).bytes.count == 4095)
        do {
            _ = try RequestPath("/" + String(repeating: "a", count: 4096))
            Issue.record("it was taken")
        } catch {
            #expect(error.status == .uriTooLong)
        }
    }

    @Test func aRedirectLeadsNowhereElse() throws {
        let cases = [
            ("/a", "/a/"), ("//evil.example", "/evil.example/"), ("/%5Cevil", "/%5Cevil/"), ("/\\evil", "/%5Cevil/"),
            ("/a%0d%0ab", "/a%0D%0Ab/"), ("/a?b=c", "/a/?b=c"), ("http://evil/a", "/a/"), ("///a//b", "/a//b/"),
        ]
        for (target, location) in cases { #expect(try RequestPath(target).folderTarget == location) }
    }
}

extension Conditions: CustomStringConvertible {
    public var description: String {
        "\(ifMatch ?? "-") \(ifNoneMatch ?? "-") \(ifModifiedSince ?? "-") \(ifUnmodifiedSince ?? "-")"
    }
}
