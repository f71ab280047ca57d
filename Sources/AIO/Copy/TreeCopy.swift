internal import AIOCore
internal import CKernel

/// Copies a tree or a single file. One task reads the source and does the bookkeeping; workers copy.
final class TreeCopy {
    /// The result of a task of the group.
    enum Done: Sendable {
        case files([Sent], [IOError?])
        case directory(CopiedDirectory, IOError?)
    }

    /// A file in flight, its target directory, and its key if it has several hard links.
    struct Sent: Sendable {
        var item: CopyItem
        var directory: CopiedDirectory?
        var key: CopiedLinks.Key?
    }

    typealias Group = TaskGroup<Done>

    let session: CopySession
    let runtime: IORuntime
    let deadline: Deadline
    private let source: Path
    private let target: Path
    private let files: CopiedFiles?
    private var links: CopiedLinks
    private var summary = CopySummary()
    /// The directories from the root to the one whose source is being read.
    private var directories: [CopiedDirectory] = []
    /// The identities of the copies of these directories. A source may lead to one of them through a mount.
    private var targets: Set<CopiedLinks.Key> = []
    /// All directories that are not finished.
    private var unfinished: [ObjectIdentifier: CopiedDirectory] = [:]
    /// The files of the next batch, and their total size.
    private var batch: [Sent] = []
    private var batchSize = 0
    private var inFlightCount = 0
    /// What ends the copy, for example a cancellation: the first such error.
    private var end: IOError?
    /// Work that failed for lack of descriptors, and is tried again.
    private var starved: [Done] = []
    /// The walk of the source, which holds descriptors too.
    private var iterator: WalkIterator?
    private var scarcity = DescriptorScarcity()

    /// The files of one operation, and their bytes: several, so that they share a hand-over to a worker, and few, so
    /// that every worker has some.
    private static var batchCountMax: Int { 16 }
    private static var batchSizeMax: Int { 2 << 20 }
    /// The maximum number of directories that the walk has left and that stay open for files in flight into them.
    private static var leftOpenMax: Int { 48 }
    /// The number of lowest levels of the copy whose directories stay open.
    private var openLevels: Int { session.hasFewDescriptors || scarcity.isKnown ? 1 : 16 }

    init(
        _ session: CopySession, _ source: Path, _ target: Path, _ files: CopiedFiles?, _ runtime: IORuntime,
        _ deadline: Deadline
    ) throws(IOError) {
        self.session = session
        self.source = source
        self.target = target
        self.files = files
        links = try files?.begin(source) ?? CopiedLinks()
        self.runtime = runtime
        self.deadline = deadline
    }

    /// Passes the hard links on to the next copy that shares `files`.
    func giveBackBooks() { files?.end(links) }

    // MARK: One file

    func runFile(_ type: FileType, _ status: FileStatus) async throws(IOError) -> CopySummary {
        guard let from = CopyPlace(source, CK_O_PATH), let to = CopyPlace(target, CK_O_PATH) else {
            throw IOError(.invalidArgument, "copy", path: target, advice: "the path does not end with a name")
        }
        // Nothing is open when the caller learns the result.
        defer {
            from.directory.end()
            to.directory.end()
        }
        var file = Sent(
            item: CopyItem(source: from, target: to, type: type, size: status.size, made: files?.made))
        _ = join(&file, status)
        while let failure = await copyAlone(file.item) {
            guard failure.code == .tooManyOpenFiles, await scarcity.wait(runtime) else {
                if let key = file.key { _ = links.fail(key) }
                throw failure
            }
        }
        if let key = file.key { _ = links.settle(key, to) }
        if session.options.sync { try await syncDirectory(of: target) }
        return CopySummary(files: 1, bytes: session.bytes)
    }

    private func copyAlone(_ item: CopyItem) async -> IOError? {
        if item.isLarge {
            return await LargeFileCopy(item: item, session: session, runtime: runtime, deadline: deadline).run()
        }
        return await Self.carryOut(CopyBatch([item], session, deadline), runtime, deadline).first ?? nil
    }

    /// Makes the new name durable.
    private func syncDirectory(of path: Path) async throws(IOError) {
        let directory = PlacedName(path)?.directory ?? path
        let file = try await File.open(directory, options: .directory, runtime: runtime, deadline: deadline)
        do throws(IOError) { try await file.sync(deadline: deadline) } catch {
            try? await file.close()
            throw error
        }
        try await file.close()
    }

    // MARK: A tree

    func runTree(_ failure: (IOError) -> Void) async throws(IOError) -> CopySummary {
        var options = WalkOptions(.status)
        options.staysOnFileSystem = session.options.staysOnFileSystem
        if session.hasFewDescriptors { options.readahead = 0 }
        var walk = FileSystem.walk(source, options: options, runtime: runtime, deadline: deadline)
        walk.keepsDirectories = true
        walk.hasFewDescriptors = session.hasFewDescriptors
        let walkEnd = await withTaskGroup(of: Done.self) { [walk] group -> IOError? in
            let iterator = walk.makeAsyncIterator()
            self.iterator = iterator
            defer { self.iterator = nil }
            do throws(IOError) {
                while end == nil, let item = try await iterator.next() {
                    switch item {
                    case .entry(let entry): await add(entry, iterator, &group, failure)
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
        if walkEnd != nil { await finishDirectories() }
        if let walkEnd { throw walkEnd }
        if session.options.sync { try await syncDirectory(of: target) }
        summary.bytes = session.bytes
        return summary
    }

    private func fail(_ error: IOError, _ failure: (IOError) -> Void) {
        // Every operation in flight reports the same cause; it is recorded once.
        switch error.code {
        case .cancelled, .deadlineExceeded, .runtimeShutDown:
            end = end ?? error
        default:
            summary.failures += 1
            failure(error)
        }
    }

    private func add(
        _ entry: WalkEntry, _ iterator: WalkIterator, _ group: inout Group, _ failure: (IOError) -> Void
    ) async {
        await leaveDirectories(downTo: entry.depth, &group, failure)
        guard let status = entry.status else { return }
        if let directory = entry.directory {
            return await enter(copied(directory, status), status, iterator, &group, failure)
        }
        guard let above = directories.last, let parent = entry.parent else { return }
        let name = entry.path.lastName
        let item = CopyItem(
            source: CopyPlace(name, in: parent), target: CopyPlace(name, in: above.target), type: entry.type,
            size: status.size, made: above.made)
        above.pendingCount += 1
        var file = Sent(item: item, directory: above)
        if join(&file, status) { await send(file, &group, failure) }
    }

    // MARK: Directories

    private func copied(_ directory: TreeDirectory, _ status: FileStatus) -> CopiedDirectory {
        guard let above = directories.last else {
            return CopiedDirectory(
                directory, TreeDirectory(root: target, CK_O_PATH), status, above: nil,
                rootPlace: CopyPlace(target, CK_O_PATH))
        }
        return CopiedDirectory(
            directory, TreeDirectory(directory.name, in: above.target), status, above: above)
    }

    private func enter(
        _ directory: CopiedDirectory, _ status: FileStatus, _ iterator: WalkIterator, _ group: inout Group,
        _ failure: (IOError) -> Void
    ) async {
        var error: IOError?
        if targets.contains(CopiedLinks.Key(device: status.fileSystem, inode: status.inode)) {
            error = IOError(
                .invalidArgument, "copy", path: directory.source.path, advice: "the directory contains the copy itself")
        } else {
            error = await make(directory, &group, failure)
        }
        if let error {
            fail(error, failure)
            await iterator.skipDescendants()
            directory.source.end()
            if let above = directory.above { await settle(above, &group, failure) }
            // Without its root, nothing can be copied.
            if directory.depth == 0 { end = end ?? error }
            return
        }
        summary.directories += 1
        directories.append(directory)
        unfinished[ObjectIdentifier(directory)] = directory
        if let file = directory.target.file { targets.insert(CopiedLinks.Key(device: file.device, inode: file.inode)) }
        let farthest = directories.count - 1 - openLevels
        if farthest >= 0 { directories[farthest].target.release() }
    }

    /// Creates a directory; waits if there is no free descriptor.
    private func make(
        _ directory: CopiedDirectory, _ group: inout Group, _ failure: (IOError) -> Void
    ) async -> IOError? {
        while true {
            let step = directory.make(session, deadline)
            let error = await Self.carryOut(step, runtime, deadline, source)
            guard error?.code == .tooManyOpenFiles else {
                scarcity.end()
                return error
            }
            await economize()
            await drain(&group, failure)
            guard await scarcity.wait(runtime) else { return error }
        }
    }

    private func leaveDirectories(downTo depth: Int, _ group: inout Group, _ failure: (IOError) -> Void) async {
        while let last = directories.last, last.depth >= depth {
            directories.removeLast()
            if let file = last.target.file {
                targets.remove(CopiedLinks.Key(device: file.device, inode: file.inode))
            }
            directories.last?.target.hold()
            // If too many would stay open, it is closed, and opened again for the files in flight into it.
            if session.hasFewDescriptors || unfinished.count - directories.count > Self.leftOpenMax {
                last.source.release()
                last.target.release()
            }
            await settle(last, &group, failure)
        }
    }

    /// Counts one file or directory less in flight into a directory, and finishes the directory after the last.
    private func settle(_ directory: CopiedDirectory, _ group: inout Group, _ failure: (IOError) -> Void) async {
        directory.pendingCount -= 1
        guard directory.pendingCount == 0, end == nil else { return }
        begin(directory, &group)
    }

    /// After a cancellation: gives the remaining directories the metadata of their sources, as far as possible.
    private func finishDirectories() async {
        let left = unfinished.values.sorted { $0.depth > $1.depth }
        unfinished = [:]
        await CopyStep.carryOutUncancelled(left.map { $0.finish(session, .never) }, runtime, target)
    }

    // MARK: Files

    /// Returns false if the file must wait for the first link of the same file.
    private func join(_ file: inout Sent, _ status: FileStatus) -> Bool {
        guard status.linkCount > 1 else { return true }
        let key = CopiedLinks.Key(device: status.fileSystem, inode: status.inode)
        switch links.add(key, linkCount: status.linkCount, file.item, file.directory) {
        case .wait: return false
        case .copy: file.key = key
        case .link(let place): file.item.existing = place
        }
        return true
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

    /// Starts a batch or a large file, after waiting for the limit of operations in flight.
    private func start(_ files: [Sent], _ group: inout Group, _ failure: (IOError) -> Void) async {
        while inFlightCount >= session.width, let done = await group.next() {
            await take(done, &group, failure)
        }
        begin(files, &group)
        if !starved.isEmpty { await feedStarved(&group, failure) }
    }

    private func begin(_ files: [Sent], _ group: inout Group) {
        inFlightCount += 1
        group.addTask(executorPreference: runtime.loops.first, operation: copying(files))
    }

    private func begin(_ directory: CopiedDirectory, _ group: inout Group) {
        inFlightCount += 1
        group.addTask(executorPreference: runtime.loops.first, operation: finishing(directory))
    }

    // MARK: Results

    private func take(_ done: Done, _ group: inout Group, _ failure: (IOError) -> Void) async {
        inFlightCount -= 1
        if done.isStarved {
            starved.append(done)
        } else {
            scarcity.end()
            await settle(done, &group, failure)
        }
    }

    private func settle(_ done: Done, _ group: inout Group, _ failure: (IOError) -> Void) async {
        switch done {
        case .directory(let directory, let error):
            unfinished[ObjectIdentifier(directory)] = nil
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

    /// Adds the links that waited for the first link of a file to the next batch.
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

    private func drain(_ group: inout Group, _ failure: (IOError) -> Void) async {
        while inFlightCount > 0, let done = await group.next() { await take(done, &group, failure) }
    }

    private func finish(_ group: inout Group, _ failure: (IOError) -> Void) async {
        await leaveDirectories(downTo: 0, &group, failure)
        repeat {
            if end == nil { await flush(&group, failure) }
            await drain(&group, failure)
            await feedStarved(&group, failure)
        } while end == nil && !batch.isEmpty
    }

    // MARK: Descriptor shortage

    /// Retries the starved work one after the other, once no operation is in flight whose descriptors could be waited
    /// for.
    private func feedStarved(_ group: inout Group, _ failure: (IOError) -> Void) async {
        await drain(&group, failure)
        while end == nil, let last = starved.popLast() {
            await economize()
            guard await scarcity.wait(runtime) else {
                await settle(last, &group, failure)
                continue
            }
            switch last {
            case .directory(let directory, _): begin(directory, &group)
            case .files(let files, let errors):
                for (index, error) in errors.enumerated() where error?.code == .tooManyOpenFiles {
                    begin([files[index]], &group)
                    await drain(&group, failure)
                }
                let rest = files.indices.filter { errors[$0]?.code != .tooManyOpenFiles }
                await settle(.files(rest.map { files[$0] }, rest.map { errors[$0] }), &group, failure)
            }
            await drain(&group, failure)
        }
    }

    /// Closes everything that can be opened again.
    private func economize() async {
        for above in directories { above.target.release() }
        await iterator?.economize()
    }

    // MARK: Tasks of the group

    private func finishing(_ directory: CopiedDirectory) -> @concurrent @Sendable () async -> Done {
        let (session, runtime, deadline, path) = (session, runtime, deadline, target)
        return {
            let step = directory.finish(session, deadline)
            return .directory(directory, await Self.carryOut(step, runtime, deadline, path))
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
        let path = work.items[0].source.path
        do throws(IOError) { _ = try await runtime.perform(work, "copy", path, deadline) } catch {
            // Items that were not copied have the error of the batch.
            return work.failures.map { $0?.code == .cancelled ? error : $0 }
        }
        return work.failures
    }
}

extension TreeCopy.Done {
    /// Whether a part of the work failed for lack of descriptors.
    fileprivate var isStarved: Bool {
        switch self {
        case .files(_, let errors): errors.contains { $0?.code == .tooManyOpenFiles }
        case .directory(_, let error): error?.code == .tooManyOpenFiles
        }
    }
}
