import Testing

@testable import AIO

@Suite struct PlacedNameTests {
    @Test(arguments: [
        ("file", ".", "file"), ("a/file", "a/", "file"), ("/file", "/", "file"), ("//file", "//", "file"),
        ("../a//b", "../a//", "b"), ("folder/", ".", "folder"), ("a/folder///", "a/", "folder"),
        ("...", ".", "..."), (".hidden", ".", ".hidden"), ("a/..b", "a/", "..b"),
    ])
    func aPathIsCutBeforeItsLastName(_ path: String, _ directory: String, _ name: String) throws {
        let placed = try #require(PlacedName(Path(path)))
        #expect(placed.directory == Path(directory) && placed.name == Path(name))
    }

    @Test(arguments: ["", ".", "..", "/", "//", "a/.", "a/..", "a/../", "./"])
    func whatDoesNotEndWithANameIsNone(_ path: String) {
        #expect(PlacedName(Path(path)) == nil)
    }

    @Test func namesOfAnyBytesAreKept() throws {
        let placed = try #require(PlacedName(Path(bytes: [0xff, 0x2f, 0xc3, 0x0a])))
        #expect(placed.directory.bytes == [0xff, 0x2f] && placed.name.bytes == [0xc3, 0x0a])
    }
}
