public import AIO
public import SystemPackage

extension Path {
    /// The same path: its bytes, also where they are not valid UTF-8.
    public init(_ path: FilePath) {
        self = path.withPlatformString { text in
            var count = 0
            while text[count] != 0 { count += 1 }
            return Path(bytes: UnsafeBufferPointer(start: text, count: count).lazy.map { UInt8(bitPattern: $0) })
        }
    }
}

extension FilePath {
    /// The same path, with the bytes of its names, also where they are not valid UTF-8.
    ///
    /// A `FilePath` has no superfluous slashes: it drops repeated ones, and the one at the end. (A slash at the end of
    /// a `Path` makes some calls follow a symbolic link that the path names.) Apart from these, converting back gives
    /// an equal `Path`.
    ///
    /// - Throws: `invalidArgument` if the path contains a NUL byte, at which a `FilePath` would end.
    public init(_ path: Path) throws(IOError) {
        let bytes = path.bytes
        guard !bytes.contains(0) else {
            throw IOError(.invalidArgument, "path", path: path, advice: "the path holds a NUL byte")
        }
        self.init(platformString: bytes.map { CChar(bitPattern: $0) } + [0])
    }
}
