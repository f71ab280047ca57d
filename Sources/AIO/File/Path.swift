/// A path of the file system: any bytes but NUL, as Linux has it, so also names that are not valid UTF-8.
public struct Path: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    /// NUL-terminated.
    private var storage: [CChar]

    public init(_ string: String) { self.init(bytes: string.utf8) }

    public init(stringLiteral string: String) { self.init(string) }

    public init(bytes: some Sequence<UInt8>) {
        var storage: [CChar] = []
        storage.reserveCapacity(bytes.underestimatedCount + 1)
        for byte in bytes { storage.append(CChar(bitPattern: byte)) }
        storage.append(0)
        self.storage = storage
    }

    private init(storage: [CChar]) { self.storage = storage }

    public var bytes: [UInt8] { storage.dropLast().map { UInt8(bitPattern: $0) } }

    /// With invalid UTF-8 replaced, and in quotes if it holds spaces or what a terminal would not show.
    public var description: String { String(decoding: bytes, as: UTF8.self).visible }

    /// Bytes in it.
    var count: Int { storage.count - 1 }

    /// The path of `name` in the directory that this is.
    func appending(_ name: Path) -> Path {
        let slash = CChar(bitPattern: UInt8(ascii: "/"))
        let wantsSlash = count > 0 && storage[count - 1] != slash
        let size = count + (wantsSlash ? 1 : 0) + name.storage.count
        // By memcpy: paths of deep trees are long.
        let joined = [CChar](unsafeUninitializedCapacity: size) { memory, filled in
            storage.withUnsafeBufferPointer { _ = memory.update(fromContentsOf: $0.dropLast()) }
            if wantsSlash { memory[count] = slash }
            let rest = UnsafeMutableBufferPointer(rebasing: memory[(size - name.storage.count)...])
            name.storage.withUnsafeBufferPointer { _ = rest.update(fromContentsOf: $0) }
            filled = size
        }
        return Path(storage: joined)
    }

    /// Becomes the path of `name` in the directory that this is.
    mutating func append(_ name: Path) {
        let slash = CChar(bitPattern: UInt8(ascii: "/"))
        storage.removeLast()
        if let last = storage.last, last != slash { storage.append(slash) }
        storage += name.storage
    }

    /// What follows the last slash.
    var lastName: Path {
        let slash = CChar(bitPattern: UInt8(ascii: "/"))
        return Path(storage: Array(storage[((storage.lastIndex(of: slash) ?? -1) + 1)...]))
    }

    /// A name that hardly anything has, of the same length every time.
    static func temporaryName(_ prefix: String) -> Path {
        let digits = String(UInt64.random(in: .min ... .max), radix: 36)
        return Path(prefix + String(repeating: "0", count: 13 - digits.utf8.count) + digits)
    }

    /// In the order of their bytes.
    static func < (left: Path, right: Path) -> Bool {
        left.storage.lexicographicallyPrecedes(right.storage) { UInt8(bitPattern: $0) < UInt8(bitPattern: $1) }
    }

    /// A path that ends so leads to a directory, through a symbolic link too.
    var endsWithSlash: Bool { storage.count > 1 && storage[storage.count - 2] == CChar(bitPattern: UInt8(ascii: "/")) }

    /// Whether a NUL in the middle would make the kernel see another path than was meant.
    var hasInteriorNUL: Bool { storage.dropLast().contains(0) }

    /// For system calls that are made at once.
    func withCString<R, E: Error>(_ body: (UnsafePointer<CChar>) throws(E) -> R) throws(E) -> R {
        try storage.withUnsafeBufferPointer { memory throws(E) in try body(memory.baseAddress!) }
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
        storage.withUnsafeBufferPointer { copy.initialize(from: $0.baseAddress!, count: $0.count) }
        return copy
    }
}
