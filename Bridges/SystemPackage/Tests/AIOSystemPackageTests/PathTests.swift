import AIO
import AIOSystemPackage
import SystemPackage
import Testing

@Suite struct PathTests {
    @Test(arguments: [
        Array("/usr/share/x".utf8), Array("relative/x".utf8), Array("x".utf8), Array("/".utf8), Array(".".utf8),
        Array("..".utf8), [], Array("../a b\n".utf8), [0x2f, 0xff, 0xfe, 0x80], [0xc3], (1...46) + (48...255),
    ])
    func thereAndBackIsTheSamePath(_ bytes: [UInt8]) throws {
        let path = Path(bytes: bytes)
        let filePath = try FilePath(path)
        #expect(Path(filePath).bytes == bytes)
        #expect(try FilePath(Path(filePath)) == filePath)
    }

    @Test func aFilePathHasNoSuperfluousSlashes() throws {
        #expect(Path(try FilePath(Path("/a//b/"))) == Path("/a/b"))
        #expect(Path(FilePath("/a//b/")) == Path("/a/b"))
    }

    @Test func aNULIsRefused() {
        let error = #expect(throws: IOError.self) { try FilePath(Path(bytes: [65, 0, 66])) }
        #expect(error?.code == .invalidArgument)
    }
}
