extension Path {
    /// The path of `name` in the directory that `directory` is. `name` is appended whatever it begins with, so that the result
    /// lies below `directory` unless `name` has `..` in it.
    public static func / (directory: Path, name: Path) -> Path { directory.appending(name) }

    public static func / (directory: Path, name: String) -> Path { directory.appending(Path(name)) }

    /// Whether it begins at the root.
    public var isAbsolute: Bool { bytes.first == UInt8(ascii: "/") }

    /// The names between the slashes, `.` and `..` among them; none of the root. Nothing is resolved.
    public var components: [Path] {
        bytes.split(separator: UInt8(ascii: "/")).map { Path(bytes: $0) }
    }

    /// The last of the components; nil of the root and of an empty path.
    public var lastComponent: Path? { components.last }

    /// The path without its last component, which is the directory that this lies in if that is neither `.` nor `..`. Of a
    /// single name it is empty; nil of the root and of an empty path.
    public var parent: Path? {
        let bytes = bytes
        let slash = UInt8(ascii: "/")
        guard let last = bytes.lastIndex(where: { $0 != slash }) else { return nil }
        guard let before = bytes[...last].lastIndex(of: slash) else { return Path(bytes: []) }
        guard let end = bytes[...before].lastIndex(where: { $0 != slash }) else { return "/" }
        return Path(bytes: bytes[...end])
    }

    /// What follows the last dot of the last component; nil if there is none, and of names that begin with their only dot.
    public var `extension`: Path? {
        guard let name = lastComponent?.bytes, let dot = Self.dot(of: name) else { return nil }
        return Path(bytes: name[(dot + 1)...])
    }

    /// The last component without its extension.
    public var stem: Path? {
        guard let name = lastComponent else { return nil }
        return Self.dot(of: name.bytes).map { Path(bytes: name.bytes[..<$0]) } ?? name
    }

    private static func dot(of name: [UInt8]) -> Int? {
        guard name != Array("..".utf8), let dot = name.lastIndex(of: UInt8(ascii: ".")), dot > 0 else { return nil }
        return dot
    }
}

extension String.StringInterpolation {
    /// In messages of the library's.
    mutating func appendInterpolation(_ path: Path) { appendLiteral(path.quoted) }
}
