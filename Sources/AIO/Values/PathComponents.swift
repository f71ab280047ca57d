extension Path {
    /// The path of `name` in `directory`. `name` is appended even if it begins with a slash, so the result lies below
    /// `directory` unless `name` contains `..`.
    public static func / (directory: Path, name: Path) -> Path { directory.appending(name) }

    /// The path of the text `name` in `directory`, also if it begins with a slash.
    public static func / (directory: Path, name: String) -> Path { directory.appending(Path(name)) }

    /// Whether the path begins with a slash.
    public var isAbsolute: Bool { bytes.first == UInt8(ascii: "/") }

    /// The names between the slashes, including `.` and `..`; empty for the root. Nothing is resolved.
    public var components: [Path] {
        bytes.split(separator: UInt8(ascii: "/")).map { Path(bytes: $0) }
    }

    /// The last component; nil for the root and for an empty path.
    public var lastComponent: Path? { components.last }

    /// The path without its last component. That is the parent directory, unless the last component is `.` or `..`.
    /// Empty for a single name; nil for the root and for an empty path.
    public var parent: Path? {
        let bytes = bytes
        let slash = UInt8(ascii: "/")
        guard let last = bytes.lastIndex(where: { $0 != slash }) else { return nil }
        guard let before = bytes[...last].lastIndex(of: slash) else { return Path(bytes: []) }
        guard let end = bytes[...before].lastIndex(where: { $0 != slash }) else { return "/" }
        return Path(bytes: bytes[...end])
    }

    /// The part of the last component after its last dot; nil if there is no dot, or if the only dot is the first
    /// character.
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
    /// Paths in the library's messages are quoted.
    mutating func appendInterpolation(_ path: Path) { appendLiteral(path.quoted) }
}
