internal import AIOCore
internal import CKernel

/// One component of a path: any bytes but NUL and the slash.
typealias FileName = [UInt8]

/// What statx(2) and the calls on extended attributes report of a file, apart from its content and its links.
struct InodeAttributes: Equatable {
    /// The file type and the permission bits.
    var mode: UInt16
    var user: UInt32 = 0
    var group: UInt32 = 0
    var accessed: FileTime
    var modified: FileTime
    var changed: FileTime
    /// In the order in which listxattr(2) reports them.
    var extended: [(name: FileName, value: [UInt8])] = []

    static func == (a: InodeAttributes, b: InodeAttributes) -> Bool {
        (a.mode, a.user, a.group, a.accessed, a.modified, a.changed)
            == (b.mode, b.user, b.group, b.accessed, b.modified, b.changed)
            && a.extended.elementsEqual(b.extended) { $0.name == $1.name && $0.value == $1.value }
    }
}

/// A file of any type, whatever names it has.
class Inode {
    let number: UInt64
    let created: FileTime
    var attributes: InodeAttributes
    /// The number of names; for a directory 2 and one more for each directory in it.
    var linkCount = 0
    /// The number of open file descriptions.
    var openCount = 0
    /// Whether linkat(2) may give a name to an inode without one: a file of O_TMPFILE without O_EXCL.
    var isLinkable = false
    /// The inotify watches, oldest first.
    var watches: [ChangeWatch] = []
    let locks = RecordLocks()
    var errors = WritebackErrors()

    /// What the attributes were since the last fsync, the durable ones first; empty if nothing changed.
    var unsyncedAttributes: [InodeAttributes] = []
    /// The number of the last transaction that an fsync, or an fdatasync, of this inode has to commit.
    var lastTransaction: UInt64 = 0
    var lastDataTransaction: UInt64 = 0

    init(number: UInt64, attributes: InodeAttributes, created: FileTime) {
        self.number = number
        self.attributes = attributes
        self.created = created
    }

    var type: UInt16 { attributes.mode & CK_S_IFMT }
    /// What statx(2) reports as size.
    var size: Int64 { 0 }
    /// Blocks of `FilePage.size` bytes.
    var blockCount: Int { 0 }

    /// A copy without content, names and uses: what a crash leaves of it.
    func survivor(_ attributes: InodeAttributes) -> Inode {
        Inode(number: number, attributes: attributes, created: created)
    }
}

final class SymbolicLink: Inode {
    let target: [UInt8]

    init(number: UInt64, attributes: InodeAttributes, created: FileTime, target: [UInt8]) {
        self.target = target
        super.init(number: number, attributes: attributes, created: created)
    }

    override var size: Int64 { Int64(target.count) }

    override func survivor(_ attributes: InodeAttributes) -> Inode {
        SymbolicLink(number: number, attributes: attributes, created: created, target: target)
    }
}

/// A device, a FIFO or the name of a socket.
final class SpecialFile: Inode {
    /// The device, of devices only.
    let device: (major: UInt32, minor: UInt32)
    /// What the streams keep for a FIFO while it is open.
    var stream: AnyObject?

    init(number: UInt64, attributes: InodeAttributes, created: FileTime, device: (UInt32, UInt32)) {
        self.device = device
        super.init(number: number, attributes: attributes, created: created)
    }

    override func survivor(_ attributes: InodeAttributes) -> Inode {
        SpecialFile(number: number, attributes: attributes, created: created, device: device)
    }
}

/// An entry of /proc/self/fd: leads to the open file, whatever its path is.
final class DescriptorLink: Inode {
    let description: OpenDescription

    init(_ description: OpenDescription, number: UInt64) {
        self.description = description
        let start = FileTime(seconds: 0)
        let attributes = InodeAttributes(mode: CK_S_IFLNK | 0o700, accessed: start, modified: start, changed: start)
        super.init(number: number, attributes: attributes, created: start)
        linkCount = 1
    }
}
