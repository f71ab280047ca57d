internal import AIOCore

/// The copy of a tree. One task reads the source and keeps the books; workers copy.
final class TreeCopy {
    /// What a task of the group has done.
    fileprivate enum Done: Sendable {
        case files([Sent], [IOError?])
        case directory(CopiedDirectory, IOError?)
    }

    /// A file on its way, where it is to lie, and what tells it from others if it has several names.
    fileprivate struct Sent: Sendable {
        var item: CopyItem
        var directory: CopiedDirectory?
        var key: CopiedLinks.Key?
    }

    private typealias Group = TaskGroup<Done>

    private let session: CopySession
    private let runtime: IORuntime
    private let deadline: Deadline
    private var summary = CopySummary()
    private var links = CopiedLinks()
    /// From the root down to where the source is read.
    private var directories: [CopiedDirectory] = []
    /// Files for the next batch, and their bytes.
    private var batch: [Sent] = []
    private var batchSize = 0
    private var inFlightCount = 0
    /// What ends the copy: the cancellation that a part of it saw first.
    private var end: IOError?

    private static var batchCountMax: Int { 16 }
    private static var batchSizeMax: Int { 2 << 20 }

    init(_ session: CopySession, _ runtime: IORuntime, _ deadline: Deadline) {
        self.session = session
        self.runtime = runtime
        self.deadline = deadline
    }

    // MARK: One file

    func run(_ item: CopyItem) async throws(IOError) -> CopySummary {
        let failure: IOError?
        if item.isLarge {
            failure = await LargeFileCopy(item: item, session: session, runtime: runtime, deadline: deadline).run()
        } else {
            failure = await Self.carryOut(CopyBatch([item], session, deadline), runtime, deadline).first ?? nil
        }
        if let failure { throw failure }
        if session.options.sync { try await syncFolder(of: item.target) }
        return CopySummary(files: 1, bytes: session.progress.bytes)
    }

    /// Makes the new name durable.
    private func syncFolder(of path: Path) async throws(IOError) {
        let folder = PlacedName(path)?.folder ?? path
        let file = try await File.open(folder, options: .directory, runtime: runtime, deadline: deadline)
        do throws(IOError) { try await file.sync(deadline: deadline) } catch {
            try? await file.close()
            throw error
        }
        try await file.close()
    }

    // MARK: A tree

    func run(_ source: Path, _ target: Path, _ failure: (IOError) -> Void) async throws(IOError) -> CopySummary {
        var options = WalkOptions(.status)
        options.staysOnFileSystem = session.options.staysOnFileSystem
        let walk = FileSystem.walk(source, options: options, runtime: runtime, deadline: deadline)
        let walkEnd = await withTaskGroup(of: Done.self) { group -> IOError? in
            let iterator = walk.makeAsyncIterator()
            do throws(IOError) {
                while end == nil, let item = try await iterator.next() {
                    switch item {
                    case .entry(let entry): await add(entry, iterator, source, target, &group, failure)
                    case .failure(let error): fail(error, failure)
                    }
                }
            } catch {
                end = end ?? error
            }
            if end != nil { group.cancelAll() }
            await finish(&group, failure)
            return end
        }
        if let walkEnd { throw walkEnd }
        if session.options.sync { try await syncFolder(of: target) }
        summary.bytes = session.progress.bytes
        return summary
    }

    private func fail(_ error: IOError, _ failure: (IOError) -> Void) {
        // Everything that was on its way says so; once is enough.
        switch error.code {
        case .cancelled, .deadlineExceeded, .runtimeShutDown:
            end = end ?? error
        default:
            summary.failures += 1
            failure(error)
        }
    }

    private func add(
        _ entry: WalkEntry, _ iterator: WalkIterator, _ source: Path, _ target: Path, _ group: inout Group,
        _ failure: (IOError) -> Void
    ) async {
        await leaveDirectories(downTo: entry.depth, &group, failure)
        guard let above = directories.last else {
            return await enter(CopiedDirectory(source, target, depth: 0, above: nil), iterator, &group, failure)
        }
        let copy = above.target.appending(entry.path.lastName)
        if entry.type == .directory {
            let directory = CopiedDirectory(entry.path, copy, depth: entry.depth, above: above)
            return await enter(directory, iterator, &group, failure)
        }
        let item = CopyItem(source: entry.path, target: copy, type: entry.type, size: entry.status?.size ?? 0)
        above.pendingCount += 1
        await add(Sent(item: item, directory: above), entry.status, &group, failure)
    }

    // MARK: Directories

    private func enter(
        _ directory: CopiedDirectory, _ iterator: WalkIterator, _ group: inout Group, _ failure: (IOError) -> Void
    ) async {
        if let error = await Self.carryOut(directory.make(session, deadline), runtime, deadline, directory.target) {
            fail(error, failure)
            await iterator.skipDescendants()
            if let above = directory.above { await settle(above, &group, failure) }
            // Without the root there is nothing to be copied into.
            if directory.depth == 0 { end = end ?? error }
            return
        }
        summary.directories += 1
        directories.append(directory)
    }

    private func leaveDirectories(downTo depth: Int, _ group: inout Group, _ failure: (IOError) -> Void) async {
        while let last = directories.last, last.depth >= depth {
            directories.removeLast()
            await settle(last, &group, failure)
        }
    }

    /// One thing less on its way into a directory; after the last it is finished.
    private func settle(_ directory: CopiedDirectory, _ group: inout Group, _ failure: (IOError) -> Void) async {
        directory.pendingCount -= 1
        guard directory.pendingCount == 0, end == nil else { return }
        inFlightCount += 1
        group.addTask(executorPreference: runtime.loops.first, operation: finishing(directory))
    }

    // MARK: Files

    private func add(
        _ file: Sent, _ status: FileStatus?, _ group: inout Group, _ failure: (IOError) -> Void
    ) async {
        var file = file
        if let status, status.linkCount > 1 {
            let key = CopiedLinks.Key(device: status.fileSystem, inode: status.inode)
            switch links.add(key, linkCount: status.linkCount, file.item, file.directory) {
            case .wait: return
            case .copy: file.key = key
            case .link(let path): file.item.existing = path
            }
        }
        await send(file, &group, failure)
    }

    private func send(_ file: Sent, _ group: inout Group, _ failure: (IOError) -> Void) async {
        guard !file.item.isLarge else { return await start([file], &group, failure) }
        batch.append(file)
        batchSize += file.item.type == .regular ? Int(file.item.size) : 0
        if batch.count >= Self.batchCountMax || batchSize >= Self.batchSizeMax { await flush(&group, failure) }
    }

    private func flush(_ group: inout Group, _ failure: (IOError) -> Void) async {
        guard !batch.isEmpty else { return }
        let files = batch
        (batch, batchSize) = ([], 0)
        await start(files, &group, failure)
    }

    /// Starts a batch, or a large file, when there is room.
    private func start(_ files: [Sent], _ group: inout Group, _ failure: (IOError) -> Void) async {
        while inFlightCount >= session.options.depth, let done = await group.next() {
            await take(done, &group, failure)
        }
        inFlightCount += 1
        group.addTask(executorPreference: runtime.loops.first, operation: copying(files))
    }

    // MARK: Tasks of the group

    private func finishing(_ directory: CopiedDirectory) -> @concurrent @Sendable () async -> Done {
        let (session, runtime, deadline) = (session, runtime, deadline)
        return {
            let step = directory.finish(session, deadline)
            return .directory(directory, await Self.carryOut(step, runtime, deadline, directory.target))
        }
    }

    private func copying(_ files: [Sent]) -> @concurrent @Sendable () async -> Done {
        let (session, runtime, deadline) = (session, runtime, deadline)
        return {
            if files.count == 1, files[0].item.isLarge {
                let copy = LargeFileCopy(item: files[0].item, session: session, runtime: runtime, deadline: deadline)
                return .files(files, [await copy.run()])
            }
            let work = CopyBatch(files.map(\.item), session, deadline)
            return .files(files, await Self.carryOut(work, runtime, deadline))
        }
    }

    // MARK: What comes back

    private func take(_ done: Done, _ group: inout Group, _ failure: (IOError) -> Void) async {
        inFlightCount -= 1
        switch done {
        case .directory(let directory, let error):
            if let error { fail(error, failure) }
            if let above = directory.above { await settle(above, &group, failure) }
        case .files(let files, let errors):
            for (file, error) in zip(files, errors) {
                if let error { fail(error, failure) } else { summary.files += 1 }
                queueLinks(of: file, error)
                if let directory = file.directory { await settle(directory, &group, failure) }
            }
        }
    }

    /// Those that waited for the first name of a file go into the next batch.
    private func queueLinks(of file: Sent, _ error: IOError?) {
        guard let key = file.key else { return }
        if error != nil {
            if let (item, directory) = links.fail(key) {
                batch.append(Sent(item: item, directory: directory, key: key))
            }
            return
        }
        for (item, directory) in links.settle(key, file.item.target) {
            var item = item
            item.existing = file.item.target
            batch.append(Sent(item: item, directory: directory))
        }
    }

    private func finish(_ group: inout Group, _ failure: (IOError) -> Void) async {
        await leaveDirectories(downTo: 0, &group, failure)
        repeat {
            if end == nil { await flush(&group, failure) }
            while let done = await group.next() { await take(done, &group, failure) }
        } while end == nil && !batch.isEmpty
    }

    // MARK: Work

    private static func carryOut(
        _ step: CopyStep, _ runtime: IORuntime, _ deadline: Deadline, _ path: Path
    ) async -> IOError? {
        do throws(IOError) { _ = try await runtime.perform(step, "copy", path, deadline) } catch {
            return step.failure ?? error
        }
        return nil
    }

    private static func carryOut(
        _ work: CopyBatch, _ runtime: IORuntime, _ deadline: Deadline
    ) async -> [IOError?] {
        do throws(IOError) { _ = try await runtime.perform(work, "copy", work.items[0].source, deadline) } catch {
            // What was not copied by then says why.
            return work.failures.map { $0?.code == .cancelled ? error : $0 }
        }
        return work.failures
    }
}
