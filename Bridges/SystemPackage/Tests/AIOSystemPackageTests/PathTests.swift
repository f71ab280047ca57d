import AIO
import AIOSystemPackage
import SystemPackage
import Testing

@Suite struct PathTests {
    private static let texts = ["/usr/share/x", "relative/x", "x", "/", ".", "..", "", "../a b\n"]
    /// Bytes that are no valid UTF-8, and every byte that a name may have.
    private static let others: [[UInt8]] = [[0x2f, 0xff, 0xfe, 0x80], [0xc3], Array(1...46) + Array(48...255)]

    @Test(arguments: texts.map { Array($0.utf8) } + others)
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
