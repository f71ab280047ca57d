/// A file system path: arbitrary bytes other than NUL, including names that are not valid UTF-8.
///
/// `"\(path)"` is the plain text, so that a path built from it names the same file. Messages should use ``quoted``,
/// which is always one line and unambiguous.
public struct Path: Hashable, Comparable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible,
    CustomDebugStringConvertible
{
    /// NUL-terminated.
    private var storage: [CChar]

    /// The path of a text, in UTF-8.
    public init(_ string: String) { self.init(bytes: string.utf8) }

    /// The path of a literal, in UTF-8.
    public init(stringLiteral string: String) { self.init(string) }

    /// The path of these bytes, which need not be UTF-8. A NUL among them is ``IOError/Code/invalidArgument`` for every
    /// operation, since the kernel would read the path up to there.
    public init(bytes: some Sequence<UInt8>) {
        let copied = bytes.withContiguousStorageIfAvailable { Path(memory: UnsafeRawBufferPointer($0)) }
        self = copied ?? Path(storage: bytes.map { CChar(bitPattern: $0) } + [0])
    }

    /// The path of the bytes in memory, which are copied.
    init(memory: UnsafeRawBufferPointer) {
        storage = [CChar](unsafeUninitializedCapacity: memory.count + 1) { copy, filled in
            UnsafeMutableRawBufferPointer(copy).copyMemory(from: memory)
            copy[memory.count] = 0
            filled = memory.count + 1
        }
    }

    private init(storage: [CChar]) { self.storage = storage }

    /// The bytes of the path, without a terminating NUL.
    public var bytes: [UInt8] { storage.withUnsafeBytes { Array($0.dropLast()) } }

    /// The text, with invalid UTF-8 replaced by U+FFFD. In that case ``string`` is nil, and only ``bytes`` is exact.
    public var description: String { String(decoding: bytes, as: UTF8.self) }

    /// The text, from which ``init(_:)`` creates an equal path; nil if the bytes are not valid UTF-8.
    public var string: String? { String(validating: bytes, as: UTF8.self) }

    /// The text for messages, on one line: quoted and escaped if it is empty or contains spaces or invisible
    /// characters.
    public var quoted: String { description.visible }

    /// The same as ``quoted``.
    public var debugDescription: String { quoted }

    /// The length in bytes.
    var count: Int { storage.count - 1 }

    /// The path of the entry `name` in this directory.
    func appending(_ name: Path) -> Path {
        let slash = CChar(bitPattern: UInt8(ascii: "/"))
        let wantsSlash = count > 0 && storage[count - 1] != slash
        let size = count + (wantsSlash ? 1 : 0) + name.storage.count
        // With memcpy, since paths in deep trees are long.
        let joined = [CChar](unsafeUninitializedCapacity: size) { memory, filled in
            storage.withUnsafeBufferPointer { _ = memory.update(fromContentsOf: $0.dropLast()) }
            if wantsSlash { memory[count] = slash }
            let rest = UnsafeMutableBufferPointer(rebasing: memory[(size - name.storage.count)...])
            name.storage.withUnsafeBufferPointer { _ = rest.update(fromContentsOf: $0) }
            filled = size
        }
        return Path(storage: joined)
    }

    /// Appends the component `name`.
    mutating func append(_ name: Path) {
        let slash = CChar(bitPattern: UInt8(ascii: "/"))
        storage.removeLast()
        if let last = storage.last, last != slash { storage.append(slash) }
        storage += name.storage
    }

    /// The part after the last slash.
    var lastName: Path {
        let slash = CChar(bitPattern: UInt8(ascii: "/"))
        return Path(storage: Array(storage[((storage.lastIndex(of: slash) ?? -1) + 1)...]))
    }

    /// A random name of constant length that is unlikely to exist.
    static func temporaryName(_ prefix: String) -> Path {
        // 13 digits of base 36 hold 64 bits.
        let digits = String(UInt64.random(in: .min ... .max), radix: 36)
        return Path(prefix + String(repeating: "0", count: 13 - digits.utf8.count) + digits)
    }

    /// In byte order.
    public static func < (left: Path, right: Path) -> Bool {
        left.storage.lexicographicallyPrecedes(right.storage) { UInt8(bitPattern: $0) < UInt8(bitPattern: $1) }
    }

    /// Whether the path ends with a slash. Such a path leads to a directory, through a symbolic link as well.
    var endsWithSlash: Bool { storage.count > 1 && storage[storage.count - 2] == CChar(bitPattern: UInt8(ascii: "/")) }

    /// Whether the path contains a NUL, at which the kernel would truncate it.
    var hasInteriorNUL: Bool { storage.dropLast().contains(0) }

    /// For system calls made within `body`.
    func withCString<R, E: Error>(_ body: (UnsafePointer<CChar>) throws(E) -> R) throws(E) -> R {
        try storage.withUnsafeBufferPointer { memory throws(E) in try body(memory.baseAddress!) }
    }

    /// `copyCString` for an operation of this name. Throws if the path contains a NUL, at which the kernel would
    /// truncate it.
    func copyCString(for name: String) throws(IOError) -> UnsafeMutablePointer<CChar> {
        guard !hasInteriorNUL else {
            throw IOError(.invalidArgument, name, path: self, advice: "the path contains a NUL byte")
        }
        return copyCString()
    }

    /// A NUL-terminated copy whose address stays fixed while an operation is in flight. The caller deallocates it.
    func copyCString() -> UnsafeMutablePointer<CChar> {
        let copy = UnsafeMutablePointer<CChar>.allocate(capacity: storage.count)
        storage.withUnsafeBufferPointer { copy.initialize(from: $0.baseAddress!, count: $0.count) }
        return copy
    }
}
