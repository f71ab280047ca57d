internal import AIOCore
internal import CKernel

/// statx(2) of a directory's entries in inode order, since neighbouring inodes are close on the device.
struct EntryStatuses: Sendable {
    let directory: OpenDirectory
    let wantsStatus: Bool
    let followLinks: Bool

    /// Reads what is requested and not known yet. Stops early when `shouldEnd` returns true.
    func fill(_ entries: inout [DirectoryEntry], _ range: Range<Int>, shouldEnd: () -> Bool) {
        let wanted = range.filter { wantsStatus || isOpen(entries[$0].type) }
        guard !wanted.isEmpty else { return }
        for index in wanted.sorted(by: { entries[$0].inode < entries[$1].inode }) {
            if shouldEnd() { return }
            fill(&entries[index])
        }
    }

    /// Whether the directory's record did not determine the type.
    private func isOpen(_ type: FileType) -> Bool { type == .unknown || followLinks && type == .symbolicLink }

    private func fill(_ entry: inout DirectoryEntry) {
        var status = ck_statx()
        let mask = wantsStatus ? FileStatus.mask : CK_STATX_TYPE
        var result = ask(entry.name, mask, followLinks: followLinks, &status)
        if followLinks, result == -Int(ENOENT) || result == -Int(ELOOP) {
            // A dangling link is reported itself.
            result = ask(entry.name, mask, followLinks: false, &status)
        }
        guard result == 0 else {
            entry.statusErrno = Errno(rawValue: Int32(-result))
            return
        }
        entry.type = FileType(mode: status.mode)
        if wantsStatus { entry.sharedStatus = SharedStatus(FileStatus(status)) }
    }

    private func ask(_ name: Path, _ mask: UInt32, followLinks: Bool, _ status: inout ck_statx) -> Int {
        let flags = CK_AT_NO_AUTOMOUNT | (followLinks ? 0 : CK_AT_SYMLINK_NOFOLLOW)
        return name.withCString { Kernel.statx(directory.number, $0, flags, mask, &status) }
    }
}

/// A part of a batch, so that several workers wait for the device concurrently.
final class StatusSlice: BlockingWork, @unchecked Sendable {
    // @unchecked: as BlockingWork says.
    private let statuses: EntryStatuses
    private(set) var entries: [DirectoryEntry]

    init(_ statuses: EntryStatuses, _ entries: [DirectoryEntry], deadline: Deadline) {
        self.statuses = statuses
        self.entries = entries
        super.init(deadline: deadline.nanoseconds)
    }

    override func run() -> Int {
        statuses.fill(&entries, entries.indices) { shouldEnd }
        return shouldEnd ? -Int(ECANCELED) : 0
    }
}
