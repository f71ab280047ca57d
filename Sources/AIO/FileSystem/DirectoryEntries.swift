internal import CKernel

/// The entries that getdents64(2) has put into memory, but for `.` and `..`.
struct DirectoryEntries: Sequence, IteratorProtocol {
    struct Entry {
        var name: [UInt8]
        /// As CK_DT_DIR; CK_DT_UNKNOWN where the file system does not say.
        var type: UInt8
    }

    private var rest: UnsafeRawBufferPointer

    init(_ memory: UnsafeRawBufferPointer) { rest = memory }

    mutating func next() -> Entry? {
        while rest.count >= MemoryLayout<ck_directory_entry>.size {
            let header = rest.loadUnaligned(as: ck_directory_entry.self)
            let size = Swift.min(Int(header.size), rest.count)
            let name = rest[Int(CK_DIRECTORY_ENTRY_NAME_OFFSET)..<size].prefix { $0 != 0 }
            let entry = Entry(name: Array(name), type: header.type)
            rest = UnsafeRawBufferPointer(rebasing: rest[size...])
            if entry.name != [UInt8(ascii: ".")], entry.name != Array("..".utf8) { return entry }
        }
        return nil
    }
}
