internal import AIOCore
internal import CKernel

/// It is used by one task at a time.
public final class WalkIterator: AsyncIteratorProtocol {
    public typealias Element = WalkItem
    public typealias Failure = IOError

    private let walk: Walk
    /// From the root down to where the walk is.
    private var levels: [WalkLevel] = []
    /// The directory that was delivered last, to be entered next.
    private var descent: (entry: WalkEntry, ahead: DirectoryAhead?)?
    private var rootDevice: UInt64?
    /// Directories that are being read, or were, before their turn.
    private var aheadCount = 0
    /// The most that there ever were: for tests.
    package private(set) var aheadPeak = 0
    private var hasBegun = false
    private var isFinished = false

    /// Directories read before their turn, on all levels.
    package static var aheadMax: Int { 64 }
    /// Levels, the lowest ones, whose directories are held open; those further up are opened again if need be.
    private static var openLevels: Int { 16 }

    init(_ walk: Walk) { self.walk = walk }

    /// What is being read ends by itself, and closes its directory.
    deinit {
        descent?.ahead?.cancel()
        for level in levels { for ahead in level.allAhead { ahead.cancel() } }
    }

    public func next() async throws(IOError) -> WalkItem? { try await nextItem() }

    public func next(isolation actor: isolated (any Actor)?) async throws(IOError) -> WalkItem? {
        try await nextItem()
    }

    /// Does not enter the directory that was delivered last.
    public func skipDescendants() async {
        guard let skipped = descent else { return }
        descent = nil
        await drop(skipped.ahead)
    }

    private func nextItem() async throws(IOError) -> WalkItem? {
        guard !isFinished else { return nil }
        do throws(IOError) {
            // What was read ahead is there without waiting.
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
        let entry = WalkEntry(path: walk.path, depth: 0, type: status.type, inode: status.inode, status: status)
        if entry.type == .directory, walk.options.depthMax > 0 { descent = (entry, nil) }
        return .entry(entry)
    }

    private func step() async throws(IOError) -> WalkItem? {
        while true {
            if let (entry, ahead) = descent {
                descent = nil
                if let failure = try await enter(entry, ahead) { return .failure(failure) }
            }
            guard !levels.isEmpty else { return nil }
            let last = levels.count - 1
            if let (entry, ahead) = levels[last].next() {
                return item(entry, ahead)
            } else if levels[last].isRead {
                levels.removeLast()
                if !levels.isEmpty { try askAhead() }
            } else if let failure = try await readOn() {
                return .failure(failure)
            }
        }
    }

    private func item(_ entry: DirectoryEntry, _ ahead: DirectoryAhead?) -> WalkItem {
        let level = levels[levels.count - 1]
        let path = level.reading.path.appending(entry.name)
        if let errno = entry.statusErrno {
            return .failure(IOError(result: -errno.rawValue, "stat", path: path))
        }
        let found = WalkEntry(
            path: path, depth: level.depth, type: entry.type, inode: entry.inode, status: entry.status)
        if entry.type == .directory, level.depth < walk.options.depthMax { descent = (found, ahead) }
        return .entry(found)
    }

    // MARK: Directories

    /// Returns what is wrong with the directory, if that concerns it alone.
    private func enter(_ entry: WalkEntry, _ ahead: DirectoryAhead?) async throws(IOError) -> IOError? {
        do throws(IOError) {
            let arriving: DirectoryAhead
            if let ahead {
                arriving = ahead
                aheadCount -= 1
            } else {
                arriving = try read(entry.path, depth: entry.depth)
            }
            let batch = try await arriving.take()
            let reading = arriving.reading
            if let above = levels.first(where: { $0.reading.file == reading.file && reading.file != FileIdentity() }) {
                let advice = "a link leads back to \(above.reading.path)"
                return IOError(.other, "walk", errno: Errno(rawValue: ELOOP), path: entry.path, advice: advice)
            }
            levels.append(WalkLevel(reading, depth: entry.depth + 1, batch))
            let farthest = levels.count - 1 - Self.openLevels
            // Unless a batch of it is on its way, which is then its last before it is opened again.
            if farthest >= 0, levels[farthest].nextBatch == nil { levels[farthest].reading.release() }
        } catch {
            return try concernsOnePath(error)
        }
        try askAhead()
        return nil
    }

    private func read(_ path: Path, depth: Int) throws(IOError) -> DirectoryAhead {
        let reading = try DirectoryReading(
            path, walk.options.entries, device: rootDevice, walk.runtime, walk.deadline)
        reading.isBelow = depth > 0
        return DirectoryAhead(reading, walk.runtime)
    }

    /// The last level's next batch.
    private func readOn() async throws(IOError) -> IOError? {
        let last = levels.count - 1
        do throws(IOError) {
            let arriving = levels[last].nextBatch ?? DirectoryAhead(levels[last].reading, walk.runtime)
            levels[last].take(try await arriving.take())
        } catch {
            levels.removeLast()
            return try concernsOnePath(error)
        }
        try askAhead()
        return nil
    }

    /// Has the next batch and the next directories of the last level read.
    private func askAhead() throws(IOError) {
        let last = levels.count - 1
        if last < Self.openLevels { levels[last].readOn(walk.runtime) }
        guard levels[last].depth < walk.options.depthMax else { return }
        while levels[last].aheadCount < walk.options.readahead, aheadCount < Self.aheadMax,
            let (index, name) = levels[last].nextToRead()
        {
            let path = levels[last].reading.path.appending(name)
            levels[last].add(try read(path, depth: levels[last].depth), at: index)
            aheadCount += 1
            aheadPeak = max(aheadPeak, aheadCount)
        }
    }

    private func drop(_ ahead: DirectoryAhead?) async {
        guard let ahead else { return }
        aheadCount -= 1
        await ahead.end()
    }

    /// Returns the error if the walk can go on after it.
    private func concernsOnePath(_ error: IOError) throws(IOError) -> IOError {
        switch error.code {
        case .cancelled, .deadlineExceeded, .runtimeShutDown, .forked, .limitReached: throw error
        default: return error
        }
    }

    /// Nothing is on its way any more, and nothing is open.
    private func finish() async {
        isFinished = true
        await drop(descent?.ahead)
        descent = nil
        for level in levels {
            for ahead in level.allAhead { await ahead.end() }
            await level.reading.end()
        }
        levels = []
    }
}
