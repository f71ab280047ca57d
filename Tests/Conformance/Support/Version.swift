import Glibc
import Testing
import UnitSupport

/// Content that identifies its version, and whether it is complete.
enum Version {
    /// The same as the program `replace-loop` writes: the number in 8 bytes, then up to 200 KB that follow from it.
    static func bytes(_ version: Int) -> [UInt8] {
        let size = 8 + version &* 7919 % 200_000
        return withUnsafeBytes(of: version.littleEndian) { Array($0) }
            + [UInt8](repeating: UInt8(truncatingIfNeeded: version &* 31), count: size - 8)
    }

    /// nil if the bytes are not one complete version.
    static func of(_ bytes: [UInt8]) -> Int? {
        guard bytes.count >= 8 else { return nil }
        let version = bytes.withUnsafeBytes { Int(littleEndian: $0.loadUnaligned(as: Int.self)) }
        return version >= 0 && bytes == Self.bytes(version) ? version : nil
    }
}

extension Scratch {
    /// The sorted names in the folder, or in a folder below it.
    func names(in folder: String = ".") throws -> [String] {
        try #require(entryNames(in: path(folder))).sorted()
    }
}
