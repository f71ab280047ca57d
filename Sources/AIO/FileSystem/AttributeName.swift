/// The name of an extended attribute, xattr(7): bytes other than NUL, beginning with the namespace, for example
/// `user.origin`.
public struct AttributeName: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    /// An attribute name has the same rules as a path.
    private let path: Path

    /// From text, in UTF-8.
    public init(_ string: String) { path = Path(string) }
    /// From a literal, in UTF-8.
    public init(stringLiteral string: String) { self.init(string) }
    /// From bytes, which need not be UTF-8.
    public init(bytes: some Sequence<UInt8>) { path = Path(bytes: bytes) }

    /// The bytes of the name, without a NUL.
    public var bytes: [UInt8] { path.bytes }

    /// The name as text, with invalid UTF-8 replaced by U+FFFD.
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
    /// Sets it in either case.
    case createOrReplace
    /// Fails with ``IOError/Code/alreadyExists`` if the attribute exists.
    case create
    /// Fails with `ENODATA` (``IOError/errno``) if the attribute does not exist.
    case replace
}
