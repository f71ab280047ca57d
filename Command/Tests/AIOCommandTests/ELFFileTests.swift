import Foundation
import Testing
import UnitSupport

@testable import AIOCommand

@Suite struct ELFFileTests {
    @Test func whatIsKnownOfAProgramIsRead() throws {
        let file = try #require(ELFFile(path: "/proc/self/exe"))
        #expect(file.isForThisMachine)
        #expect(!file.is32Bit)
        #expect(file.interpreter?.contains("/ld-") == true)
        #expect(file.needed.contains { $0.hasPrefix("libc.so") })
    }

    @Test func whatIsNoELFFileIsNone() {
        #expect(ELFFile(path: "/etc/passwd") == nil)
        #expect(ELFFile(path: "/dev/null") == nil)
        #expect(ELFFile(path: "/tmp") == nil)
        #expect(ELFFile(path: "/no/such") == nil)
    }

    /// The file may contain anything, and the command reads it before the kernel does.
    @Test func noDamageToAFileEndsTheCommand() throws {
        let whole = try Data(contentsOf: URL(filePath: "/bin/true"))
        var generator = SeededGenerator("damage to an ELF file")
        let path = NSTemporaryDirectory() + "damaged-\(getpid())"
        defer { try? FileManager.default.removeItem(atPath: path) }
        for _ in 0..<1000 {
            var damaged = whole
            for _ in 0..<Int.random(in: 1...8, using: &generator) {
                // Mostly where sizes and offsets are: in the headers at the start and the section headers at the end.
                let limit = Bool.random(using: &generator) ? min(1024, whole.count) : whole.count
                let place = Int.random(in: 0..<limit, using: &generator)
                let bytes = [0, 1, 0x7F, 0xFF, UInt8.random(in: 0...255, using: &generator)]
                damaged[place] = try #require(bytes.randomElement(using: &generator))
            }
            if Bool.random(using: &generator) {
                damaged = damaged.prefix(Int.random(in: 0...whole.count, using: &generator))
            }
            try damaged.write(to: URL(filePath: path))
            _ = ELFFile(path: path)
            _ = Reach(of: path)
        }
    }
}
