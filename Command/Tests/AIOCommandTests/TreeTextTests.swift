import AIO
import Testing

@testable import AIOCommand

@Suite struct TreeTextTests {
    @Test func sizesAreRoundedUpAsDuDoes() {
        let expected: [(Int64, String)] = [
            (0, "0"), (1, "1"), (1023, "1023"), (1024, "1.0K"), (1025, "1.1K"), (10 << 10, "10K"),
            ((10 << 10) + 1, "11K"),
            (1_048_575, "1.0M"), (1 << 20, "1.0M"), (200_280 << 10, "196M"), (3 << 30, "3.0G"),
        ]
        for (bytes, text) in expected { #expect(SizeFormat.human.text(bytes) == text) }
        #expect(SizeFormat.kibibytes.text(1) == "1" && SizeFormat.kibibytes.text(1025) == "2")
    }

    @Test func aLineIsReadAsItWasWritten() throws {
        let digest = [UInt8](0..<32)
        for name in [Array("plain".utf8), Array("a\nb".utf8), Array("a\\n\r".utf8), [0xff, 0x0a]] {
            let line = HashLine(digest: digest, name: Path(bytes: name))
            #expect(try #require(HashLine(line.bytes.dropLast())) == line)
            #expect(line.bytes.dropLast().allSatisfy { $0 != 10 })
        }
        #expect(HashLine(Array("no line".utf8)[...]) == nil)
        #expect(HashLine([UInt8](repeating: UInt8(ascii: "x"), count: 80)[...]) == nil)
    }

    @Test func whatIsLeftIsSaidOnceAllIsCounted() {
        let unknown = CopyDisplay.text(files: 10, bytes: 1 << 20, of: nil, seconds: 1)
        #expect(unknown.line == "10 files, 1 MiB, 1 MiB/s" && unknown.share == 0)
        let half = CopyDisplay.text(files: 10, bytes: 1 << 20, of: (20, 2 << 20), seconds: 65)
        #expect(half.share == 0.5 && half.line.hasSuffix(", 1:05 left"))
        #expect(CopyDisplay.text(files: 0, bytes: 0, of: (0, 0), seconds: 0).share == 0)
    }
}
