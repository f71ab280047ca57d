import Testing

@testable import AIO

@Suite struct PathTests {
    @Test func aPathKeepsItsBytesWhateverTheyAre() {
        let bytes: [UInt8] = [0x2f, 0xff, 0xfe, 0x20, 0x80]
        #expect(Path(bytes: bytes).bytes == bytes)
        #expect(Path("/tmp/ä").bytes == Array("/tmp/ä".utf8))
        #expect(Path("").bytes == [])
    }

    @Test func pathsAreEqualIfTheirBytesAre() {
        #expect(Path("a") == "a")
        #expect(Path("a") != "b")
        #expect(Set<Path>(["a", "b", "a"]).count == 2)
        // The kernel knows no Unicode: these are two names.
        #expect(Path("\u{e9}") != Path("e\u{301}"))
    }

    @Test(arguments: ["/etc/passwd", "relative/path", "ä", "日本"])
    func anOrdinaryPathDescribesItself(_ text: String) {
        #expect(Path(text).description == text)
    }

    @Test(arguments: [
        "", "with space", "tab\t", "\u{7f}", "new\nline", "\u{85}", "\u{2028}", "\u{1b}[31m", "\u{9b}31m",
    ])
    func aPathThatCouldMisleadIsQuoted(_ text: String) {
        let description = Path(text).description
        #expect(description.hasPrefix("\"") && description.hasSuffix("\""))
        #expect(isOneLine(description), "\(description.unicodeScalars.map { $0.value })")
    }

    @Test func bytesThatAreNoTextAreReplacedInTheDescription() {
        #expect(Path(bytes: [0x61, 0xff]).description == "a\u{fffd}")
    }

    @Test func aNULInTheMiddleIsNoticed() {
        #expect(Path(bytes: [1, 0, 2]).hasInteriorNUL)
        #expect(Path(bytes: [0]).hasInteriorNUL)
        #expect(!Path("a").hasInteriorNUL)
        #expect(!Path("").hasInteriorNUL)
    }

    @Test func theCStringIsTheBytesAndANUL() {
        let copy = Path("abc").copyCString()
        defer { copy.deallocate() }
        #expect(String(cString: copy) == "abc")
        let empty = Path("").copyCString()
        defer { empty.deallocate() }
        #expect(empty[0] == 0)
    }
}

/// Whether a terminal or a log shows it in one line, and does nothing else with it.
func isOneLine(_ text: String) -> Bool {
    text.unicodeScalars.allSatisfy { scalar in
        switch scalar.properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator, .format: false
        default: true
        }
    }
}
