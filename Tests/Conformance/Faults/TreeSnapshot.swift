import AIOCore
import CKernel
import Glibc
import Testing
import UnitSupport

/// What is below a folder, read without the library, and past its door to the kernel.
struct TreeSnapshot {
    struct Entry {
        var mode: UInt32
        var owner: UInt32
        var modified: Int
        /// The content of a file, or the target of a link.
        var content: [UInt8]
        var attribute: [UInt8]
        var inode: UInt64

        /// Whether a copy is like its original.
        func isCopy(of other: Entry) -> Bool {
            mode == other.mode && owner == other.owner && modified == other.modified
                && areSame(content, other.content) && attribute == other.attribute
        }
    }

    /// By path below the folder.
    private(set) var entries: [String: Entry] = [:]

    /// nil for a folder that does not exist.
    init?(_ folder: String) throws {
        var status = Glibc.stat()
        guard lstat(folder, &status) == 0 else { return nil }
        try add(Array(folder.utf8CString), "")
    }

    /// Whether names, content, and targets of links are the same, as diff(1) compares them.
    func hasContent(of other: TreeSnapshot) -> Bool {
        entries.mapValues(\.content) == other.entries.mapValues(\.content)
    }

    /// The attribute that the snapshot looks at.
    static let attribute = "user.test"

    static func setAttribute(_ path: String, _ value: [UInt8]) throws {
        let result = path.withCString { path in
            attribute.withCString { name in
                value.withUnsafeBytes {
                    SystemCall.call(CK_NR_lsetxattr, address(path), address(name), address($0.baseAddress), $0.count, 0)
                }
            }
        }
        try #require(result == 0)
    }

    /// A name, which may be no UTF-8, as a text that no other name has.
    private static func text(_ name: [CChar]) -> String {
        let bytes = name.dropLast().map { UInt8(bitPattern: $0) }
        return String(validating: bytes, as: UTF8.self) ?? "\(bytes)"
    }

    /// `path` ends with a NUL.
    private mutating func add(_ path: [CChar], _ name: String) throws {
        var status = Glibc.stat()
        try #require(lstat(path, &status) == 0)
        var entry = Entry(
            mode: status.st_mode, owner: status.st_uid, modified: status.st_mtim.tv_sec, content: [], attribute: [],
            inode: UInt64(status.st_ino))
        entry.attribute = [UInt8](unsafeUninitializedCapacity: 64) { memory, count in
            let result = path.withUnsafeBytes { path in
                Self.attribute.withCString {
                    SystemCall.call(
                        CK_NR_lgetxattr, address(path.baseAddress), address($0), address(memory.baseAddress), 64)
                }
            }
            count = max(0, result)
        }
        switch status.st_mode & S_IFMT {
        case S_IFREG:
            let file = Glibc.open(path, O_RDONLY | O_CLOEXEC)
            try #require(file >= 0)
            defer { closeDescriptor(file) }
            entry.content = readToEnd(file)
        case S_IFLNK:
            entry.content = [UInt8](unsafeUninitializedCapacity: 256) { memory, count in
                let result = path.withUnsafeBytes {
                    SystemCall.call(
                        CK_NR_readlinkat, Int(AT_FDCWD), address($0.baseAddress), address(memory.baseAddress), 256)
                }
                count = max(0, result)
            }
        case S_IFDIR:
            for below in try #require(rawEntryNames(in: path)) {
                try add(path.dropLast() + [0x2f] + below, "\(name)/\(Self.text(below))")
            }
        default: break
        }
        entries[name] = entry
    }
}

/// Whether two contents are equal. In a debug build `==` takes 20 ns for each byte, and the walks compare gigabytes.
func areSame(_ one: [UInt8], _ other: [UInt8]) -> Bool {
    guard one.count == other.count else { return false }
    return one.withUnsafeBytes { one in
        other.withUnsafeBytes { other in
            one.isEmpty || memcmp(one.baseAddress!, other.baseAddress!, one.count) == 0
        }
    }
}
