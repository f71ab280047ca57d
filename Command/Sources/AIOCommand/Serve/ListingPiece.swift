import AIOCore
import CKernel

/// Some rows of a folder's listing: the names after a given one, in sorted order. Runs on a worker's thread.
///
/// Each piece reads the whole folder and keeps only the next names. This bounds memory for a little more time.
final class ListingPiece: BlockingWork, @unchecked Sendable {
    // @unchecked: see `BlockingWork`.
    private let folder: OpenedFile
    private let lowest: [UInt8]?
    private(set) var rows: [UInt8] = []
    private(set) var lastName: [UInt8]?
    private(set) var isLast = false
    /// Whether the folder holds more names than are listed.
    private(set) var isCut = false

    /// The most names that are read from a folder. Each piece reads all of them.
    static var entriesMax: Int { 10_000 }
    /// The most names of a piece, and the size in bytes at which it ends.
    private static var namesMax: Int { 512 }
    private static var sizeMax: Int { 64 << 10 }

    private struct Name {
        let bytes: [UInt8]
        let type: UInt8
    }

    /// The names after `lowest`; nil for all.
    init(_ folder: OpenedFile, behind lowest: [UInt8]?) {
        self.folder = folder
        self.lowest = lowest
        super.init(deadline: .never)
    }

    override func run() -> Int {
        var how = ck_open_how(flags: CK_O_RDONLY | CK_O_DIRECTORY | CK_O_CLOEXEC, mode: 0, resolve: 0)
        // A new descriptor starts at the first entry. The path could lead elsewhere by now; the open folder cannot.
        let opened = ".".withCString { Kernel.openat2(folder.number, $0, &how) }
        guard opened >= 0 else { return opened }
        defer { Kernel.close(Int32(opened)) }
        let (names, hasMore, result) = read(Int32(opened))
        guard result >= 0 else { return result }
        for (index, name) in names.enumerated() {
            guard rows.count < Self.sizeMax, !shouldEnd else { return shouldEnd ? -Int(ECANCELED) : 0 }
            rows += row(name, Int32(opened)).utf8
            lastName = name.bytes
            isLast = index == names.count - 1 && !hasMore
        }
        if names.isEmpty { isLast = true }
        return 0
    }

    /// Returns the next names, and whether more follow.
    private func read(_ descriptor: Int32) -> (names: [Name], hasMore: Bool, result: Int) {
        var names: [Name] = []
        var (seen, isOver) = (0, false)
        // Names from this one on cannot belong to the piece.
        var highest: [UInt8]?
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 32768, alignment: 8)
        defer { buffer.deallocate() }
        while true {
            let count = Kernel.getdents64(descriptor, buffer.baseAddress!, buffer.count)
            guard count >= 0, !shouldEnd else { return ([], false, shouldEnd ? -Int(ECANCELED) : count) }
            var start = 0
            while start < count, !isCut {
                let record = UnsafeRawBufferPointer(rebasing: buffer[start..<count])
                let header = record.loadUnaligned(as: ck_directory_entry.self)
                start += Int(header.size)
                let name = record[Int(CK_DIRECTORY_ENTRY_NAME_OFFSET)..<Int(header.size)].prefix { $0 != 0 }
                if name.elementsEqual(".".utf8) || name.elementsEqual("..".utf8) { continue }
                isCut = seen == Self.entriesMax
                seen += 1
                if isCut { break }
                if let lowest, !lowest.lexicographicallyPrecedes(name) { continue }
                if let highest, !name.lexicographicallyPrecedes(highest) {
                    isOver = true
                    continue
                }
                names.append(Name(bytes: Array(name), type: header.type))
                if names.count == 2 * Self.namesMax {
                    isOver = Self.cut(&names) || isOver
                    highest = names.last?.bytes
                }
            }
            guard count > 0, !isCut else { break }
        }
        isOver = Self.cut(&names) || isOver
        return (names, isOver, 0)
    }

    /// Sorts the names and keeps the lowest ones. Returns whether any were removed.
    private static func cut(_ names: inout [Name]) -> Bool {
        names.sort { $0.bytes.lexicographicallyPrecedes($1.bytes) }
        guard names.count > namesMax else { return false }
        names.removeLast(names.count - namesMax)
        return true
    }

    private func row(_ name: Name, _ directory: Int32) -> String {
        var status = ck_statx()
        let result = (name.bytes + [0]).withUnsafeBytes { bytes in
            // Links are not followed, so that the page reveals nothing about their targets.
            Kernel.statx(
                directory, bytes.assumingMemoryBound(to: CChar.self).baseAddress!,
                CK_AT_SYMLINK_NOFOLLOW | CK_AT_NO_AUTOMOUNT, CK_STATX_BASIC_STATS, &status)
        }
        guard result >= 0 else {
            return ListingText.row(name.bytes, isFolder: name.type == CK_DT_DIR, size: nil, modified: nil)
        }
        let type = status.mode & CK_S_IFMT
        return ListingText.row(
            name.bytes, isFolder: type == CK_S_IFDIR, size: type == CK_S_IFREG ? Int64(clamping: status.size) : nil,
            modified: status.modification_time.seconds)
    }
}
