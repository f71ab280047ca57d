/// The name of an extended attribute, xattr(7): any bytes but NUL, with the namespace in front, as in `user.origin`.
public struct AttributeName: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    /// Names have the same rules as paths.
    private let path: Path

    public init(_ string: String) { path = Path(string) }
    public init(stringLiteral string: String) { self.init(string) }
    public init(bytes: some Sequence<UInt8>) { path = Path(bytes: bytes) }

    public var bytes: [UInt8] { path.bytes }

    /// With invalid UTF-8 replaced, and in quotes if it holds spaces or what a terminal would not show.
    public var description: String { path.description }

    /// As `Path.copyCString`.
    func copyCString(for operation: String) throws(IOError) -> UnsafeMutablePointer<CChar> {
        guard !path.hasInteriorNUL else {
            throw IOError(.invalidArgument, operation, advice: "the name \(self) holds a NUL byte")
        }
        return path.copyCString()
    }
}

/// What setting an extended attribute does if there is one of that name, or none.
public enum AttributeMode: Sendable {
    case createOrReplace
    /// Fails with `alreadyExists` if there is one.
    case create
    /// Fails with ENODATA if there is none.
    case replace
}
