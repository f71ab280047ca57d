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
        // The kernel does not normalize Unicode: these are two names.
        #expect(Path("\u{e9}") != Path("e\u{301}"))
    }

    @Test(arguments: ["/etc/passwd", "relative/path", "ä", "日本", "with space", "tab\t", "new\nline", "", "\"quoted\""])
    func theTextOfAPathNamesTheSameFile(_ text: String) {
        #expect(Path(text).description == text)
        #expect(Path(text).string == text)
        #expect("\(Path(text).description)/\(Path(text).description)" == "\(text)/\(text)")
        #expect(Path(Path(text).description) == Path(text))
    }

    @Test(arguments: ["/etc/passwd", "relative/path", "ä", "日本"])
    func anOrdinaryPathIsNotQuoted(_ text: String) {
        #expect(Path(text).quoted == text)
    }

    @Test(arguments: [
        "", "with space", "tab\t", "\u{7f}", "new\nline", "\u{85}", "\u{2028}", "\u{1b}[31m", "\u{9b}31m",
    ])
    func aPathThatCouldMisleadIsQuoted(_ text: String) {
        let description = Path(text).quoted
        #expect(description.hasPrefix("\"") && description.hasSuffix("\""))
        #expect(isOneLine(description), "\(description.unicodeScalars.map { $0.value })")
    }

    @Test func bytesThatAreNoTextAreReplacedInTheDescription() {
        #expect(Path(bytes: [0x61, 0xff]).description == "a\u{fffd}")
        #expect(Path(bytes: [0x61, 0xff]).string == nil)
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

@Suite struct PathComponentTests {
    @Test func aNameIsAppendedWithOneSlash() {
        let name = "b c"
        #expect(Path("a") / name == "a/b c")
        #expect(Path("a/") / "b" == "a/b")
        #expect(Path("/") / "b" == "/b")
        #expect(Path("") / "b" == "b")
        #expect(Path("a") / Path(bytes: [0xff]) == Path(bytes: [0x61, 0x2f, 0xff]))
    }

    @Test(
        arguments: [
            ("/a/b.txt", ["a", "b.txt"]), ("a//b/", ["a", "b"]), ("/", []), ("", []), ("./../a", [".", "..", "a"]),
        ] as [(Path, [Path])])
    func theComponentsAreTheNamesBetweenSlashes(_ path: Path, _ components: [Path]) {
        #expect(path.components == components)
        #expect(path.lastComponent == components.last)
    }

    @Test(
        arguments: [
            ("/a/b", "/a"), ("/a", "/"), ("a", ""), ("a/b/", "a"), ("a//b", "a"), ("//a", "/"), ("/", nil), ("", nil),
            ("///", nil),
        ] as [(Path, Path?)])
    func theParentIsThePathWithoutItsLastComponent(_ path: Path, _ parent: Path?) {
        #expect(path.parent == parent)
    }

    @Test(
        arguments: [
            ("a/b.txt", "b", "txt"), ("b.tar.gz", "b.tar", "gz"), (".profile", ".profile", nil), ("..", "..", nil),
            ("a.", "a", ""),
            ("a.d/b", "b", nil), ("/", nil, nil), ("x/", "x", nil),
        ] as [(Path, Path?, Path?)])
    func theExtensionFollowsTheLastDot(_ path: Path, _ stem: Path?, _ suffix: Path?) {
        #expect(path.stem == stem)
        #expect(path.extension == suffix)
    }

    @Test func whatBeginsAtTheRootIsAbsolute() {
        #expect(Path("/a").isAbsolute)
        #expect(!Path("a/b").isAbsolute)
        #expect(!Path("").isAbsolute)
    }

    @Test func pathsAreOrderedByTheirBytes() {
        #expect([Path("b"), "a/b", "a", Path(bytes: [0xff])].sorted() == ["a", "a/b", "b", Path(bytes: [0xff])])
    }
}

/// Whether a terminal or a log shows the text as one line without interpreting any of it.
func isOneLine(_ text: String) -> Bool {
    text.unicodeScalars.allSatisfy { scalar in
        switch scalar.properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator, .format: false
        default: true
        }
    }
}
