internal import CKernel

/// A watch of inotify(7): belongs to an inode and to a queue.
final class ChangeWatch {
    let number: Int32
    let inode: Inode
    var mask: UInt32
    weak var queue: ChangeQueue?

    init(_ number: Int32, _ inode: Inode, _ mask: UInt32, _ queue: ChangeQueue) {
        self.number = number
        self.inode = inode
        self.mask = mask
        self.queue = queue
    }
}

/// An inotify descriptor.
final class ChangeQueue: OpenDescription {
    private struct Event: Equatable {
        let watch: Int32
        let mask: UInt32
        let cookie: UInt32
        let name: FileName

        /// A name is padded to whole headers.
        var size: Int { name.isEmpty ? 16 : 16 + (name.count + 16) & ~15 }

        /// The kernel compares no cookies (inotify_merge).
        func repeats(_ other: Event) -> Bool {
            (watch, mask) == (other.watch, other.mask) && name == other.name && mask & CK_IN_IGNORED == 0
        }
    }

    private var watches: [ChangeWatch] = []
    private var lastNumber: Int32 = 0
    private var events: [Event] = []
    private let limit: Int

    init(flags: UInt64, limit: Int) {
        self.limit = limit
        super.init(flags: flags)
    }

    override var name: String { "inotify" }
    override var readyEvents: UInt32 { events.isEmpty ? 0 : UInt32(CK_POLLIN) }
    /// FIONREAD.
    var byteCount: Int { events.reduce(0) { $0 + $1.size } }

    override func status(_ status: UnsafeMutablePointer<ck_statx>) -> Int {
        // An anonymous inode: no file type.
        status.pointee = ck_statx()
        status.pointee.mask = CK_STATX_BASIC_STATS
        status.pointee.mode = 0o600
        status.pointee.link_count = 1
        status.pointee.block_size = 4096
        return 0
    }

    // MARK: Watches

    private static let optionBits: UInt32 = 0xff00_0000
    private static let addsToMask: UInt32 = 0x2000_0000

    /// inotify_add_watch(2).
    func watch(_ inode: Inode, _ mask: UInt32) -> Int32 {
        let events = mask & ~Self.optionBits
        if let watch = watches.first(where: { $0.inode === inode }) {
            watch.mask = mask & Self.addsToMask != 0 ? watch.mask | events : events
            return watch.number
        }
        lastNumber += 1
        let watch = ChangeWatch(lastNumber, inode, events, self)
        watches.append(watch)
        inode.watches.append(watch)
        return lastNumber
    }

    /// The watched file is gone.
    func remove(_ watch: ChangeWatch) {
        watches.removeAll { $0 === watch }
        watch.inode.watches.removeAll { $0 === watch }
        add(Event(watch: watch.number, mask: CK_IN_IGNORED, cookie: 0, name: []))
    }

    override func lastClose() {
        for watch in watches { watch.inode.watches.removeAll { $0 === watch } }
        watches = []
    }

    // MARK: Events

    func add(_ watch: ChangeWatch, _ mask: UInt32, _ cookie: UInt32, _ name: FileName) {
        add(Event(watch: watch.number, mask: mask, cookie: cookie, name: name))
    }

    private func add(_ event: Event) {
        let isFull = events.count >= limit
        let added = isFull ? Event(watch: -1, mask: CK_IN_Q_OVERFLOW, cookie: 0, name: []) : event
        // The overflow is in the queue once.
        if isFull, events.contains(added) { return }
        if let last = events.last, added.repeats(last) { return }
        events.append(added)
        readinessChanged()
    }

    override func read(into buffers: [UnsafeMutableRawBufferPointer], at offset: Int64?, flags: UInt32) -> Int {
        guard offset == nil else { return -Int(ESPIPE) }
        guard let first = events.first else { return -Int(EAGAIN) }
        guard let buffer = buffers.first(where: { !$0.isEmpty }) else { return 0 }
        guard first.size <= buffer.count else { return -Int(EINVAL) }
        var filled = 0
        while let event = events.first, filled + event.size <= buffer.count {
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer[filled..<filled + event.size])
            part.initializeMemory(as: UInt8.self, repeating: 0)
            let header = ck_inotify_event(
                watch: event.watch, mask: event.mask, cookie: event.cookie, length: UInt32(event.size - 16))
            part.storeBytes(of: header, as: ck_inotify_event.self)
            UnsafeMutableRawBufferPointer(rebasing: part[16...]).copyBytes(from: event.name)
            filled += event.size
            events.removeFirst()
        }
        return filled
    }
}

extension SimulatedFileSystem {
    /// An event on a file, for its own watches and for those of the directory that it was opened or named in. As
    /// fsnotify(), which asks the directory's first.
    func notify(_ entry: DirectoryEntry, _ mask: UInt32) {
        if let parent = entry.parent { notify(parent, mask | Self.directoryBit(entry.inode), entry.name) }
        notify(entry.inode, mask)
    }

    /// An event on a file itself.
    func notify(_ inode: Inode, _ mask: UInt32) {
        guard !inode.watches.isEmpty else { return }
        // inotify_handle_inode_event reports no IN_ISDIR with these two.
        let isSelf = mask & (CK_IN_DELETE_SELF | CK_IN_MOVE_SELF) != 0
        notify(inode, isSelf ? mask : mask | Self.directoryBit(inode), [])
    }

    /// An event on a name in a directory.
    func notify(_ directory: Inode, _ mask: UInt32, _ name: FileName, cookie: UInt32 = 0) {
        for watch in directory.watches where watch.mask & mask & ~CK_IN_ISDIR != 0 {
            watch.queue?.add(watch, mask, cookie, name)
        }
    }

    static func directoryBit(_ inode: Inode) -> UInt32 { inode is Directory ? CK_IN_ISDIR : 0 }
}
