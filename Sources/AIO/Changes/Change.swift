internal import CKernel

/// Something that happened to a watched file or directory, or to an entry of a watched directory.
public struct Change: Sendable, Hashable {
    public enum Kind: Sendable, Hashable {
        /// An entry was made: a file, a directory, or a link.
        case created
        case deleted
        /// Content was written, or the file cut off.
        case modified
        /// Permissions, times, owner, extended attributes or the number of links.
        case attributesChanged
        case opened
        case read
        /// A file that was open for writing was closed: mostly the moment to look at it.
        case closedAfterWriting
        case closedAfterReading
        /// An entry got another name, here or elsewhere. If both folders are watched, `movedTo` with the same cookie
        /// follows, mostly at once.
        case movedFrom(cookie: UInt32)
        case movedTo(cookie: UInt32)
        /// What is watched is gone, or has another name. In the latter case it is still watched.
        case selfDeleted
        case selfMoved
        case unmounted
        /// The path is not watched any more: it was deleted or unmounted. Nothing follows for it.
        case ignored
        /// The kernel's queue was full, and what happened since is lost: look at everything anew.
        case overflow
    }

    public let kind: Kind
    /// What is watched, as it was given, whatever its name is by now; nil for `overflow`.
    public let path: Path?
    /// The entry of the watched directory; nil for what is watched itself.
    public let name: Path?
    /// Whether it happened to a directory.
    public let isDirectory: Bool

    init(kind: Kind, path: Path?, name: Path?, isDirectory: Bool) {
        self.kind = kind
        self.path = path
        self.name = name
        self.isDirectory = isDirectory
    }
}

/// Which changes are to be told. `unmounted`, `ignored` and `overflow` always are.
public struct ChangeEvents: OptionSet, Sendable, Hashable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static let created = ChangeEvents(rawValue: CK_IN_CREATE)
    public static let deleted = ChangeEvents(rawValue: CK_IN_DELETE)
    public static let modified = ChangeEvents(rawValue: CK_IN_MODIFY)
    public static let attributesChanged = ChangeEvents(rawValue: CK_IN_ATTRIB)
    public static let opened = ChangeEvents(rawValue: CK_IN_OPEN)
    public static let read = ChangeEvents(rawValue: CK_IN_ACCESS)
    public static let closedAfterWriting = ChangeEvents(rawValue: CK_IN_CLOSE_WRITE)
    public static let closedAfterReading = ChangeEvents(rawValue: CK_IN_CLOSE_NOWRITE)
    /// Both sides.
    public static let moved = ChangeEvents(rawValue: CK_IN_MOVED_FROM | CK_IN_MOVED_TO)
    public static let selfDeleted = ChangeEvents(rawValue: CK_IN_DELETE_SELF)
    public static let selfMoved = ChangeEvents(rawValue: CK_IN_MOVE_SELF)

    /// What changes something.
    public static let changes: ChangeEvents = [
        .created, .deleted, .modified, .attributesChanged, .closedAfterWriting, .moved, .selfDeleted, .selfMoved,
    ]
    /// Also what only looks.
    public static let all: ChangeEvents = [.changes, .opened, .read, .closedAfterReading]
}

extension Change.Kind {
    /// The kernel says one thing at a time; beside it, whether it was a directory.
    init?(_ event: ck_inotify_event) {
        switch event.mask & ~CK_IN_ISDIR {
        case CK_IN_CREATE: self = .created
        case CK_IN_DELETE: self = .deleted
        case CK_IN_MODIFY: self = .modified
        case CK_IN_ATTRIB: self = .attributesChanged
        case CK_IN_OPEN: self = .opened
        case CK_IN_ACCESS: self = .read
        case CK_IN_CLOSE_WRITE: self = .closedAfterWriting
        case CK_IN_CLOSE_NOWRITE: self = .closedAfterReading
        case CK_IN_MOVED_FROM: self = .movedFrom(cookie: event.cookie)
        case CK_IN_MOVED_TO: self = .movedTo(cookie: event.cookie)
        case CK_IN_DELETE_SELF: self = .selfDeleted
        case CK_IN_MOVE_SELF: self = .selfMoved
        case CK_IN_UNMOUNT: self = .unmounted
        case CK_IN_IGNORED: self = .ignored
        case CK_IN_Q_OVERFLOW: self = .overflow
        default: return nil
        }
    }
}

/// The events that a read of an inotify descriptor has put into memory.
struct ChangeRecords: Sequence, IteratorProtocol {
    private var rest: UnsafeRawBufferPointer

    init(_ memory: UnsafeRawBufferPointer) { rest = memory }

    mutating func next() -> (event: ck_inotify_event, name: Path?)? {
        let headerSize = MemoryLayout<ck_inotify_event>.size
        guard rest.count >= headerSize else { return nil }
        let event = rest.loadUnaligned(as: ck_inotify_event.self)
        let size = Swift.min(headerSize + Int(event.length), rest.count)
        let name = rest[headerSize..<size].prefix { $0 != 0 }
        rest = UnsafeRawBufferPointer(rebasing: rest[size...])
        return (event, name.isEmpty ? nil : Path(bytes: name))
    }
}
