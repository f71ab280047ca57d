/// The name of an extended attribute, xattr(7): bytes other than NUL, beginning with the namespace, for example
/// `user.origin`.
public struct AttributeName: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    /// An attribute name has the same rules as a path.
    private let path: Path

    public init(_ string: String) { path = Path(string) }
    public init(stringLiteral string: String) { self.init(string) }
    public init(bytes: some Sequence<UInt8>) { path = Path(bytes: bytes) }

    public var bytes: [UInt8] { path.bytes }

    /// The name as text, with invalid UTF-8 replaced.
    public var description: String { path.description }

    /// A NUL-terminated copy, as `Path.copyCString` makes it.
    func copyCString(for operation: String) throws(IOError) -> UnsafeMutablePointer<CChar> {
        guard !path.hasInteriorNUL else {
            throw IOError(.invalidArgument, operation, advice: "the name \(path) contains a NUL byte")
        }
        return path.copyCString()
    }
}

/// What happens when an attribute is set that exists already, or does not exist.
public enum AttributeMode: Sendable {
    case createOrReplace
    /// Fails with `alreadyExists` if the attribute exists.
    case create
    /// Fails with ENODATA if the attribute does not exist.
    case replace
}
