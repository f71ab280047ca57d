internal import CKernel

/// The entries that getdents64(2) has put into memory, but for `.` and `..`.
struct DirectoryRecords: Sequence, IteratorProtocol {
    struct Record {
        var name: [UInt8]
        /// As CK_DT_DIR; CK_DT_UNKNOWN where the file system does not say.
        var type: UInt8
        var inode: UInt64
    }

    private var rest: UnsafeRawBufferPointer
    /// Where in the directory the last record ends: an lseek(2) there, and the next one is read.
    private(set) var position: Int64 = 0

    init(_ memory: UnsafeRawBufferPointer) { rest = memory }

    mutating func next() -> Record? {
        while rest.count >= MemoryLayout<ck_directory_entry>.size {
            let header = rest.loadUnaligned(as: ck_directory_entry.self)
            let size = Swift.min(Int(header.size), rest.count)
            let name = rest[Int(CK_DIRECTORY_ENTRY_NAME_OFFSET)..<size].prefix { $0 != 0 }
            rest = UnsafeRawBufferPointer(rebasing: rest[size...])
            position = header.position
            if Self.isDots(name) { continue }
            return Record(name: Array(name), type: header.type, inode: header.inode)
        }
        return nil
    }

    /// `.` or `..`.
    private static func isDots(_ name: UnsafeRawBufferPointer.SubSequence) -> Bool {
        name.count <= 2 && name.allSatisfy { $0 == UInt8(ascii: ".") }
    }
}
