import AIO
import Glibc
import Testing

/// The library's, not the kind of file system that this target has under the same name.
typealias Paths = AIO.FileSystem

extension Scratch {
    /// A name in the folder, of any bytes.
    func path(bytes name: [UInt8]) -> Path { Path(bytes: Array("\(folder)/".utf8) + name) }

    /// Makes a folder, past the library.
    func makeFolder(_ name: String) throws -> String {
        try #require(mkdir(path(name), 0o755) == 0, "mkdir \(name): errno \(errno)")
        return path(name)
    }

    /// Whether something has the name, itself and not what it leads to.
    func has(_ name: String) -> Bool {
        var status = Glibc.stat()
        return lstat(path(name), &status) == 0
    }
}

/// Names that are allowed, and that programs forget.
let unusualNames: [[UInt8]] = [
    Array("two\nlines".utf8), [0xff, 0xfe, 0x80], Array(" ".utf8), Array("-rf".utf8), Array("a\tb\u{1b}[31m".utf8),
    [UInt8](repeating: 0xc3, count: 255),
]
