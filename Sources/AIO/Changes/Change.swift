internal import CKernel

/// An event on a watched file or directory, or on an entry of a watched directory.
public struct Change: Sendable, Hashable {
    /// The kind of a change, as inotify(7) reports it.
    public enum Kind: Sendable, Hashable {
        /// An entry was created: a file, a directory, or a link.
        case created
        /// An entry was deleted.
        case deleted
        /// The content was written or truncated.
        case modified
        /// Permissions, timestamps, owner, extended attributes or the link count changed.
        case attributesChanged
        /// The file or directory was opened.
        case opened
        /// The content was read, or a program executed.
        case read
        /// A file that was open for writing was closed: usually the time to read it.
        case closedAfterWriting
        /// A file or directory that was not open for writing was closed.
        case closedAfterReading
        /// An entry was renamed, within the directory or out of it. If both directories are watched,
        /// ``movedTo(cookie:)`` with the same cookie follows, usually at once.
        case movedFrom(cookie: UInt32)
        /// An entry has its name by a rename, within the directory or into it. The cookie is that of
        /// ``movedFrom(cookie:)``, if the old directory is watched too.
        case movedTo(cookie: UInt32)
        /// The watched path itself was deleted.
        case selfDeleted
        /// The watched path itself was renamed. It is still watched.
        case selfMoved
        /// The file system of the watched path was unmounted.
        case unmounted
        /// The path is no longer watched: it was deleted or unmounted. No further change of it follows.
        case ignored
        /// The kernel's queue overflowed and later events are lost: examine everything again.
        case overflow
    }

    /// What happened.
    public let kind: Kind
    /// The watched path as it was given, even if it was renamed since; nil for ``Kind/overflow``.
    public let path: Path?
    /// The entry of the watched directory; nil for the watched path itself.
    public let name: Path?
    /// Whether the subject of the event is a directory.
    public let isDirectory: Bool

    init(kind: Kind, path: Path?, name: Path?, isDirectory: Bool) {
        self.kind = kind
        self.path = path
        self.name = name
        self.isDirectory = isDirectory
    }
}

/// The kinds of change to report. ``Change/Kind/unmounted``, ``Change/Kind/ignored`` and ``Change/Kind/overflow`` are
/// always reported.
public struct ChangeEvents: OptionSet, Sendable, Hashable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// ``Change/Kind/created``.
    public static let created = ChangeEvents(rawValue: CK_IN_CREATE)
    /// ``Change/Kind/deleted``.
    public static let deleted = ChangeEvents(rawValue: CK_IN_DELETE)
    /// ``Change/Kind/modified``.
    public static let modified = ChangeEvents(rawValue: CK_IN_MODIFY)
    /// ``Change/Kind/attributesChanged``.
    public static let attributesChanged = ChangeEvents(rawValue: CK_IN_ATTRIB)
    /// ``Change/Kind/opened``.
    public static let opened = ChangeEvents(rawValue: CK_IN_OPEN)
    /// ``Change/Kind/read``.
    public static let read = ChangeEvents(rawValue: CK_IN_ACCESS)
    /// ``Change/Kind/closedAfterWriting``.
    public static let closedAfterWriting = ChangeEvents(rawValue: CK_IN_CLOSE_WRITE)
    /// ``Change/Kind/closedAfterReading``.
    public static let closedAfterReading = ChangeEvents(rawValue: CK_IN_CLOSE_NOWRITE)
    /// Both ``Change/Kind/movedFrom(cookie:)`` and ``Change/Kind/movedTo(cookie:)``.
    public static let moved = ChangeEvents(rawValue: CK_IN_MOVED_FROM | CK_IN_MOVED_TO)
    /// ``Change/Kind/selfDeleted``.
    public static let selfDeleted = ChangeEvents(rawValue: CK_IN_DELETE_SELF)
    /// ``Change/Kind/selfMoved``.
    public static let selfMoved = ChangeEvents(rawValue: CK_IN_MOVE_SELF)

    /// Everything that changes a file or directory.
    public static let changes: ChangeEvents = [
        .created, .deleted, .modified, .attributesChanged, .closedAfterWriting, .moved, .selfDeleted, .selfMoved,
    ]
    /// ``changes``, and also ``opened``, ``read`` and ``closedAfterReading``.
    public static let all: ChangeEvents = [.changes, .opened, .read, .closedAfterReading]
}

extension Change.Kind {
    /// An event has one kind, and IN_ISDIR if its subject is a directory.
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

/// The events in memory that a read of an inotify descriptor filled.
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
