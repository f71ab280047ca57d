internal import AIOCore
internal import CKernel

/// Returns one item after the other. One task uses it at a time.
public final class WalkIterator: AsyncIteratorProtocol {
    public typealias Element = WalkItem
    public typealias Failure = IOError

    private let walk: Walk
    /// The directories from the root to the current one.
    private var levels: [WalkLevel] = []
    /// The directory that was delivered last and is entered next.
    private var descent: (entry: WalkEntry, ahead: DirectoryAhead?)?
    private var rootDevice: UInt64?
    /// The number of directories that are being, or have been, read ahead.
    private var aheadCount = 0
    /// The maximum of `aheadCount`. For tests.
    package private(set) var aheadPeak = 0
    private var hasBegun = false
    private var isFinished = false

    /// The maximum number of directories read ahead, on all levels: each may have a descriptor open and a batch in
    /// memory.
    package static var aheadMax: Int { 64 }
    /// The number of lowest levels whose directories stay open; those further up are opened again if necessary. Few
    /// trees are deeper.
    private static var openLevels: Int { 16 }
    private var openLevels: Int
    private var scarcity = DescriptorScarcity()

    init(_ walk: Walk) {
        self.walk = walk
        openLevels = walk.hasFewDescriptors ? 1 : Self.openLevels
    }

    /// Reads in flight end by themselves and close their directories.
    deinit {
        descent?.ahead?.cancel()
        for level in levels {
            for ahead in level.allAhead { ahead.cancel() }
            level.reading.directory.end()
        }
    }

    public func next() async throws(IOError) -> WalkItem? { try await nextItem() }

    public func next(isolation actor: isolated (any Actor)?) async throws(IOError) -> WalkItem? {
        try await nextItem()
    }

    /// Skips the contents of the directory that was delivered last; does nothing after any other entry.
    public func skipDescendants() async {
        guard let skipped = descent else { return }
        descent = nil
        await drop(skipped.ahead)
    }

    private func nextItem() async throws(IOError) -> WalkItem? {
        guard !isFinished else { return nil }
        do throws(IOError) {
            // Checked here because an item that was read ahead is returned without a suspension.
            if Task.isCancelled { throw IOError(.cancelled, "walk", path: walk.path) }
            if let item = try await hasBegun ? step() : begin() { return item }
        } catch {
            await finish()
            throw error
        }
        await finish()
        return nil
    }

    // MARK: Steps

    private func begin() async throws(IOError) -> WalkItem? {
        hasBegun = true
        let endsWithSlash = walk.path.bytes.last == UInt8(ascii: "/")
        let status = try await FileSystem.status(
            of: walk.path, followLinks: walk.options.entries.contains(.followLinks) || endsWithSlash,
            runtime: walk.runtime, deadline: walk.deadline)
        if walk.options.staysOnFileSystem { rootDevice = status.fileSystem }
        var entry = WalkEntry(
            path: walk.path, depth: 0, type: status.type, inode: status.inode, sharedStatus: SharedStatus(status))
        if entry.type == .directory, walk.keepsDirectories {
            entry.directory = TreeDirectory(root: walk.path, CK_O_RDONLY)
        }
        if entry.type == .directory, walk.options.depthMax > 0 { descent = (entry, nil) }
        return .entry(entry)
    }

    private func step() async throws(IOError) -> WalkItem? {
        while true {
            if let (entry, ahead) = descent.take() {
                if let failure = try await enter(entry, ahead) { return .failure(failure) }
            }
            guard !levels.isEmpty else { return nil }
            let last = levels.count - 1
            if let (entry, ahead) = levels[last].next() {
                return item(entry, ahead)
            } else if levels[last].isRead {
                leaveLast()
            } else if let failure = try await readOn() {
                return .failure(failure)
            }
        }
    }

    private func item(_ entry: DirectoryEntry, _ ahead: DirectoryAhead?) -> WalkItem {
        let (reading, depth) = (levels[levels.count - 1].reading, levels[levels.count - 1].depth)
        let path = reading.path.appending(entry.name)
        if let errno = entry.statusErrno {
            return .failure(IOError(result: -errno.rawValue, "stat", path: path))
        }
        var found = WalkEntry(
            path: path, depth: depth, type: entry.type, inode: entry.inode, sharedStatus: entry.sharedStatus)
        if walk.keepsDirectories || walk.tellsDirectories { found.parent = reading.directory }
        if walk.keepsDirectories {
            if entry.type == .directory {
                found.directory = ahead?.reading.directory ?? TreeDirectory(entry.name, in: reading.directory)
            }
        }
        if entry.type == .directory, depth < walk.options.depthMax { descent = (found, ahead) }
        return .entry(found)
    }

    // MARK: Directories

    /// Enters a directory. Returns the error if it concerns this directory alone.
    private func enter(_ entry: WalkEntry, _ ahead: DirectoryAhead?) async throws(IOError) -> IOError? {
        do throws(IOError) {
            let arriving: DirectoryAhead
            if let ahead {
                arriving = ahead
                aheadCount -= 1
            } else {
                arriving = read(entry.path, entry.directory ?? directory(entry.path), depth: entry.depth)
            }
            let (reading, batch) = try await take(arriving)
            // Without followed links a walk cannot return to an ancestor.
            if walk.options.entries.contains(.followLinks), reading.file != FileIdentity(),
                let above = levels.first(where: { $0.reading.file == reading.file })
            {
                reading.end()
                let advice = "a symbolic link leads back to \(above.reading.path)"
                return IOError(.other, "walk", errno: Errno(rawValue: ELOOP), path: entry.path, advice: advice)
            }
            levels.append(WalkLevel(reading, depth: entry.depth + 1, batch))
            let farthest = levels.count - 1 - openLevels
            // A batch in flight needs the directory, which is then released after it.
            if farthest >= 0, levels[farthest].nextBatch == nil { levels[farthest].reading.release() }
        } catch {
            return try concernsOnePath(error)
        }
        askAhead()
        return nil
    }

    /// The root, or the directory of the path's last name in the last level's directory.
    private func directory(_ path: Path) -> TreeDirectory {
        guard let last = levels.last else {
            return TreeDirectory(
                root: path, CK_O_RDONLY, followsLinks: walk.options.entries.contains(.followLinks))
        }
        return TreeDirectory(path.lastName, in: last.reading.directory)
    }

    private func read(_ path: Path, _ directory: TreeDirectory, depth: Int) -> DirectoryAhead {
        let stay = walk.keepsDirectories ? DirectoryReading.Stay.stays : .staysForDirectories
        let reading = DirectoryReading(
            path, directory, walk.options.entries, device: rootDevice, stay, runtime: walk.runtime,
            walk.deadline)
        return DirectoryAhead(reading, walk.runtime)
    }

    /// Returns to the parent level.
    private func leaveLast() {
        let left = levels.removeLast()
        if !walk.keepsDirectories { left.reading.end() }
        guard let last = levels.last else { return }
        last.reading.directory.hold()
        askAhead()
    }

    /// Takes the last level's next batch.
    private func readOn() async throws(IOError) -> IOError? {
        let last = levels.count - 1
        do throws(IOError) {
            let arriving = levels[last].nextBatch ?? DirectoryAhead(levels[last].reading, walk.runtime)
            levels[last].take(try await take(arriving).batch)
        } catch {
            levels.removeLast().reading.end()
            levels.last?.reading.directory.hold()
            return try concernsOnePath(error)
        }
        askAhead()
        return nil
    }

    /// Starts to read the next batch and the next directories of the last level.
    private func askAhead() {
        let last = levels.count - 1
        if last < openLevels { levels[last].readOn(walk.runtime) }
        guard levels[last].depth < walk.options.depthMax else { return }
        while !scarcity.isKnown, levels[last].aheadCount < walk.options.readahead, aheadCount < Self.aheadMax,
            let (index, name) = levels[last].nextToRead()
        {
            let path = levels[last].reading.path.appending(name)
            let directory = TreeDirectory(name, in: levels[last].reading.directory)
            levels[last].add(read(path, directory, depth: levels[last].depth), at: index)
            aheadCount += 1
            aheadPeak = max(aheadPeak, aheadCount)
        }
    }

    // MARK: Descriptor shortage

    /// A batch. When descriptors run out, the walk closes its own and tries again.
    private func take(
        _ arriving: DirectoryAhead
    ) async throws(IOError) -> (reading: DirectoryReading, batch: [DirectoryEntry]) {
        var arriving = arriving
        while true {
            do throws(IOError) {
                let batch = try await arriving.take()
                scarcity.end()
                return (arriving.reading, batch)
            } catch {
                guard error.code == .tooManyOpenFiles else { throw error }
                await economize(besides: arriving.reading)
                guard await scarcity.wait(walk.runtime) else { throw error }
                arriving = DirectoryAhead(arriving.reading, walk.runtime)
            }
        }
    }

    /// Closes everything that can be opened again, and opens as little as possible from now on.
    func economize(besides reading: DirectoryReading? = nil) async {
        openLevels = 1
        if let ahead = descent?.ahead {
            await ahead.settle()
            ahead.reading.release()
        }
        for level in levels {
            for ahead in level.allAhead {
                await ahead.settle()
                if ahead.reading !== reading { ahead.reading.release() }
            }
            if level.reading !== reading { level.reading.release() }
        }
    }

    private func drop(_ ahead: DirectoryAhead?) async {
        guard let ahead else { return }
        aheadCount -= 1
        await ahead.end()
    }

    /// Returns the error if the walk can continue after it.
    private func concernsOnePath(_ error: IOError) throws(IOError) -> IOError {
        switch error.code {
        case .cancelled, .deadlineExceeded, .runtimeShutDown, .forked, .limitReached: throw error
        default: return error
        }
    }

    /// Waits for everything in flight and closes everything.
    private func finish() async {
        isFinished = true
        await drop(descent?.ahead)
        descent = nil
        for level in levels {
            for ahead in level.allAhead { await ahead.end() }
            level.reading.end()
        }
        levels = []
    }
}
