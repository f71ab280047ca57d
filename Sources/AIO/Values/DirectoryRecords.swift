internal import CKernel

/// The entries in the memory that getdents64(2) filled, except for `.` and `..`.
struct DirectoryRecords: Sequence, IteratorProtocol {
    struct Record {
        var name: Path
        /// CK_DT_DIR and the like; CK_DT_UNKNOWN if the file system does not report the type.
        var type: UInt8
        var inode: UInt64
    }

    private var rest: UnsafeRawBufferPointer
    /// The directory offset after the last record: an lseek(2) to it continues with the next record.
    private(set) var position: Int64 = 0

    init(_ memory: UnsafeRawBufferPointer) { rest = memory }

    mutating func next() -> Record? {
        while rest.count >= MemoryLayout<ck_directory_entry>.size {
            let header = rest.loadUnaligned(as: ck_directory_entry.self)
            let size = Swift.min(Int(header.size), rest.count)
            let name = Self.text(UnsafeRawBufferPointer(rebasing: rest[Int(CK_DIRECTORY_ENTRY_NAME_OFFSET)..<size]))
            rest = UnsafeRawBufferPointer(rebasing: rest[size...])
            position = header.position
            if Self.isDots(name) { continue }
            return Record(name: Path(memory: name), type: header.type, inode: header.inode)
        }
        return nil
    }

    /// The bytes before the NUL.
    private static func text(_ name: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: name[..<(name.firstIndex(of: 0) ?? name.count)])
    }

    /// `.` or `..`.
    private static func isDots(_ name: UnsafeRawBufferPointer) -> Bool {
        name.count <= 2 && name.allSatisfy { $0 == UInt8(ascii: ".") }
    }
}
