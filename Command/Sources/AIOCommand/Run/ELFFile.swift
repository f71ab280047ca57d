import AIOCore
import CKernel

/// The part of an ELF file that determines how the dynamic linker treats it, and which of certain functions it imports.
/// See elf(5).
///
/// The file is untrusted: invalid parts count as absent, and no size in the file is trusted.
struct ELFFile {
    /// Whether the file is for 64 bits and this machine's architecture.
    var isForThisMachine = false
    var is32Bit = false
    /// The dynamic linker; nil for a static program and for a library.
    var interpreter: String?
    /// The libraries that the file depends on (DT_NEEDED).
    var needed: [String] = []
    /// The folders that the dynamic linker searches first, as written in the file (`$ORIGIN` is not expanded).
    var searchFolders: [String] = []
    /// The functions among `wanted` that the file imports.
    var imports: Set<String> = []

    static let linuxAIO: Set<String> = [
        "io_setup", "io_submit", "io_getevents", "io_pgetevents", "io_queue_init", "io_queue_run",
    ]
    static let posixAIO = Set(["aio_read", "aio_write", "aio_fsync", "lio_listio"].flatMap { [$0, $0 + "64"] })
    static let systemCall = "syscall"
    fileprivate static let wanted = linuxAIO.union(posixAIO).union([systemCall])

    /// nil if the file is not readable or no ELF file.
    init?(path: String) {
        guard let image = Image(path: path), let header = image.bytes(at: 0, count: 64),
            header.starts(with: [0x7F, UInt8(ascii: "E"), UInt8(ascii: "L"), UInt8(ascii: "F")])
        else { return nil }
        is32Bit = header[4] == 1
        isForThisMachine = header[4] == 2 && header[5] == 1 && header.number(at: 18, as: UInt16.self) == Self.machine
        guard isForThisMachine else { return }
        let segments = Self.segments(image, header)
        interpreter = segments.first { $0.type == 3 }.flatMap { image.text(at: $0.offset, limit: $0.size) }
        guard let dynamic = DynamicSection(image, segments) else { return }
        needed = dynamic.texts(1)
        // DT_RUNPATH and the older DT_RPATH.
        searchFolders = (dynamic.texts(29) + dynamic.texts(15)).flatMap { $0.split(separator: ":").map(String.init) }
        imports = dynamic.imports(count: Self.symbolCount(image, header))
    }

    #if arch(x86_64)
        private static let machine: UInt16 = 62
    #elseif arch(arm64)
        private static let machine: UInt16 = 183
    #endif

    private static func segments(_ image: Image, _ header: [UInt8]) -> [Segment] {
        let count = Int(header.number(at: 56, as: UInt16.self))
        guard header.number(at: 54, as: UInt16.self) == 56,
            let table = image.bytes(at: header.number(at: 32, as: UInt64.self), count: 56 * count)
        else { return [] }
        return (0..<count).map { Segment(table, at: 56 * $0) }
    }

    /// The number of dynamic symbols according to the section headers; nil without them. The dynamic section does not
    /// contain it.
    private static func symbolCount(_ image: Image, _ header: [UInt8]) -> Int? {
        let count = Int(header.number(at: 60, as: UInt16.self))
        guard header.number(at: 58, as: UInt16.self) == 64,
            let table = image.bytes(at: header.number(at: 40, as: UInt64.self), count: 64 * count)
        else { return nil }
        // SHT_DYNSYM.
        let section = (0..<count).first { table.number(at: 64 * $0 + 4, as: UInt32.self) == 11 }
        return section.flatMap { Int(exactly: table.number(at: 64 * $0 + 32, as: UInt64.self) / 24) }
    }
}

/// A program header.
private struct Segment {
    let type: UInt32
    let offset: UInt64
    let address: UInt64
    let size: UInt64

    init(_ table: [UInt8], at start: Int) {
        type = table.number(at: start, as: UInt32.self)
        offset = table.number(at: start + 8, as: UInt64.self)
        address = table.number(at: start + 16, as: UInt64.self)
        size = table.number(at: start + 32, as: UInt64.self)
    }
}

private struct DynamicSection {
    private let image: Image
    private let segments: [Segment]
    private var entries: [(tag: UInt64, value: UInt64)] = []

    init?(_ image: Image, _ segments: [Segment]) {
        self.image = image
        self.segments = segments
        guard let segment = segments.first(where: { $0.type == 2 }),
            let bytes = image.bytes(at: segment.offset, count: Int(min(segment.size, 1 << 16)))
        else { return nil }
        for start in stride(from: 0, to: bytes.count - 15, by: 16) {
            let tag = bytes.number(at: start, as: UInt64.self)
            if tag == 0 { break }
            entries.append((tag, bytes.number(at: start + 8, as: UInt64.self)))
        }
    }

    private func first(_ tag: UInt64) -> UInt64? { entries.first { $0.tag == tag }?.value }

    /// The strings of all entries with this tag, whose values are offsets in the string table.
    func texts(_ tag: UInt64) -> [String] {
        guard let table = first(5).flatMap(offset(ofAddress:)) else { return [] }
        return entries.filter { $0.tag == tag }.compactMap { image.text(at: table &+ $0.value, limit: 4096) }
    }

    /// The undefined symbols among `wanted`.
    func imports(count known: Int?) -> Set<String> {
        guard let textAddress = first(5), let texts = offset(ofAddress: textAddress), let size = first(10),
            let symbolAddress = first(6), let symbols = offset(ofAddress: symbolAddress)
        else { return [] }
        // Without section headers: linkers place the string table directly after the symbol table.
        let count = known ?? (textAddress > symbolAddress ? Int((textAddress - symbolAddress) / 24) : 0)
        guard let table = image.bytes(at: symbols, count: min(count, 1 << 22) * 24),
            let names = image.bytes(at: texts, count: Int(min(size, 1 << 28)))
        else { return [] }
        var found: Set<String> = []
        for start in stride(from: 0, to: table.count - 23, by: 24) where table[start + 6] == 0 && table[start + 7] == 0
        {
            let name = names.dropFirst(Int(table.number(at: start, as: UInt32.self))).prefix(16).prefix { $0 != 0 }
            // Most symbols start with another letter. Skipping them here avoids creating strings.
            guard let initial = name.first, "ials".utf8.contains(initial) else { continue }
            let text = String(decoding: name, as: UTF8.self)
            if ELFFile.wanted.contains(text) { found.insert(text) }
        }
        return found
    }

    /// The file offset of an address.
    private func offset(ofAddress address: UInt64) -> UInt64? {
        segments.first { $0.type == 1 && address >= $0.address && address - $0.address < $0.size }
            .map { $0.offset &+ (address - $0.address) }
    }
}

/// Reads from a file.
private final class Image {
    private let file: OpenDescriptor

    init?(path: String) {
        guard let file = try? OpenDescriptor(path, CK_O_RDONLY | CK_O_NONBLOCK) else { return nil }
        self.file = file
    }

    /// nil if the file has fewer bytes.
    func bytes(at offset: UInt64, count: Int) -> [UInt8]? {
        guard let offset = Int64(exactly: offset), count >= 0 else { return nil }
        var isWhole = false
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { memory, initialized in
            guard let start = memory.baseAddress else { return }
            let result = Kernel.pread(file.number, start, count, offset)
            isWhole = result == count
            initialized = max(result, 0)
        }
        return isWhole || count == 0 ? bytes : nil
    }

    /// A NUL-terminated string.
    func text(at offset: UInt64, limit: UInt64) -> String? {
        // Fewer bytes than the limit may follow the file's last string, so shorter reads are tried.
        var size = Int(min(limit, 4096))
        while size > 0 {
            if let bytes = bytes(at: offset, count: size) {
                return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            size /= 2
        }
        return nil
    }
}

extension [UInt8] {
    /// A little-endian number; 0 if it lies beyond the end.
    fileprivate func number<Number: FixedWidthInteger>(at start: Int, as type: Number.Type) -> Number {
        guard start >= 0, start + MemoryLayout<Number>.size <= count else { return 0 }
        return withUnsafeBytes { Number(littleEndian: $0.loadUnaligned(fromByteOffset: start, as: Number.self)) }
    }
}
