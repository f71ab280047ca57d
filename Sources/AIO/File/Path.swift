/// A path of the file system: any bytes but NUL, as Linux has it, so also names that are not valid UTF-8.
public struct Path: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    /// NUL-terminated.
    private let storage: [CChar]

    public init(_ string: String) { self.init(bytes: string.utf8) }

    public init(stringLiteral string: String) { self.init(string) }

    public init(bytes: some Sequence<UInt8>) {
        storage = bytes.map { CChar(bitPattern: $0) } + [0]
    }

    public var bytes: [UInt8] { storage.dropLast().map { UInt8(bitPattern: $0) } }

    /// With invalid UTF-8 replaced, and in quotes if it holds spaces or what a terminal would not show.
    public var description: String { String(decoding: bytes, as: UTF8.self).visible }

    /// Whether a NUL in the middle would make the kernel see another path than was meant.
    var hasInteriorNUL: Bool { storage.dropLast().contains(0) }

    /// For system calls that are made at once.
    func withCString<R>(_ body: (UnsafePointer<CChar>) -> R) -> R {
        storage.withUnsafeBufferPointer { body($0.baseAddress!) }
    }

    /// `copyCString`, for an operation of this name. Throws if the kernel would see another path than was meant.
    func copyCString(for name: String) throws(IOError) -> UnsafeMutablePointer<CChar> {
        guard !hasInteriorNUL else {
            throw IOError(.invalidArgument, name, path: self, advice: "the path holds a NUL byte")
        }
        return copyCString()
    }

    /// NUL-terminated memory that stays where it is while an operation is in flight. The caller deallocates it.
    func copyCString() -> UnsafeMutablePointer<CChar> {
        let copy = UnsafeMutablePointer<CChar>.allocate(capacity: storage.count)
        for (index, byte) in storage.enumerated() { (copy + index).initialize(to: byte) }
        return copy
    }
}
