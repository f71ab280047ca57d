import AIO

/// Adds up the space that a tree uses, and writes a line for each folder when the walk leaves it.
final class DiskUsage: @unchecked Sendable {
    // @unchecked: only one task uses it at a time.

    private struct Folder {
        let path: Path
        let depth: Int
        var size: Int64

        /// Saturates: sparse files can claim sizes up to the largest Int64.
        mutating func add(_ more: Int64) {
            let (sum, overflows) = size.addingReportingOverflow(more)
            size = overflows ? .max : sum
        }
    }

    private struct FileKey: Hashable {
        let device: UInt64
        let inode: UInt64
    }

    private let isApparent: Bool
    private let staysOnFileSystem: Bool
    private let showsFiles: Bool
    private let depthMax: Int
    private let format: SizeFormat
    private let remembersAll: Bool

    private var seen: Set<FileKey> = []
    /// The path from the root to the walk's current folder.
    private var folders: [Folder] = []
    private var rootDevice: UInt64 = 0
    private let output = OutputBuffer()
    private let complaints = Complaints()

    init(
        isApparent: Bool, staysOnFileSystem: Bool, showsFiles: Bool, depthMax: Int, format: SizeFormat,
        remembersAll: Bool
    ) {
        self.isApparent = isApparent
        self.staysOnFileSystem = staysOnFileSystem
        self.showsFiles = showsFiles
        self.depthMax = depthMax
        self.format = format
        self.remembersAll = remembersAll
    }

    /// Returns the number of failures.
    func report(_ roots: [Path]) async throws -> Int {
        try await output.flushing {
            for root in roots {
                do { try await add(root) } catch let error as IOError {
                    if error.code == .cancelled { break }
                    complaints.add(error)
                }
                try leaveFolders(downTo: 0)
                try output.flush()
            }
        }
        return complaints.count
    }

    private func add(_ root: Path) async throws {
        var options = WalkOptions(.status)
        options.staysOnFileSystem = staysOnFileSystem
        // Adding up takes almost no time, so the device is the bottleneck.
        options.readahead = 24
        let iterator = FileSystem.walk(root, options: options).makeAsyncIterator()
        while let item = try await iterator.next() {
            switch item {
            case .failure(let error): complaints.add(error)
            case .entry(let entry):
                guard let status = entry.status else { continue }
                if entry.depth == 0 { rootDevice = status.deviceNumber }
                let isCounted = isCounted(entry, status)
                try add(entry, status, isCounted)
                if !isCounted { await iterator.skipDescendants() }
            }
        }
    }

    /// Returns false for a file that was counted under another name or lies on another file system.
    private func isCounted(_ entry: WalkEntry, _ status: FileStatus) -> Bool {
        if staysOnFileSystem, status.deviceNumber != rootDevice { return false }
        guard remembersAll || entry.type != .directory && status.linkCount > 1 else { return true }
        return seen.insert(FileKey(device: status.deviceNumber, inode: status.inode)).inserted
    }

    private func add(_ entry: WalkEntry, _ status: FileStatus, _ isCounted: Bool) throws(Failure) {
        try leaveFolders(downTo: entry.depth)
        guard isCounted else { return }
        let size = size(status, entry.type)
        if entry.type == .directory {
            folders.append(Folder(path: entry.path, depth: entry.depth, size: size))
            return
        }
        if let last = folders.indices.last { folders[last].add(size) }
        if entry.depth == 0 || showsFiles && entry.depth <= depthMax { try write(size, entry.path) }
    }

    private func size(_ status: FileStatus, _ type: FileType) -> Int64 {
        guard isApparent else { return status.allocatedSize }
        return type == .regular || type == .symbolicLink ? status.size : 0
    }

    private func leaveFolders(downTo depth: Int) throws(Failure) {
        while let folder = folders.last, folder.depth >= depth {
            folders.removeLast()
            if let above = folders.indices.last { folders[above].add(folder.size) }
            if folder.depth <= depthMax { try write(folder.size, folder.path) }
        }
    }

    private func write(_ size: Int64, _ path: Path) throws(Failure) {
        output.add(format.text(size) + "\t")
        output.add(path)
        output.add("\n")
        try output.flushIfLarge()
    }
}

extension FileStatus {
    /// The device's major and minor number in one word.
    var deviceNumber: UInt64 { UInt64(device.major) << 32 | UInt64(device.minor) }
}
