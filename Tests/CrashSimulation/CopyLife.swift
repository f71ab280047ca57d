import AIO
import AIOSimulation

/// What one life of some copies did and saw.
final class CopyLife: @unchecked Sendable {
    // @unchecked: the simulation's thread uses it, and the history afterwards.
    private let sources: [TreeImage]
    private(set) var copies: [MadeCopy]
    private(set) var violation: String?
    private(set) var checkCount = 0
    private let weather: Weather
    private let mistake: CopyMistake?

    init(_ sources: [TreeImage], _ copies: [MadeCopy], _ weather: Weather, _ mistake: CopyMistake?) {
        self.sources = sources
        self.copies = copies
        self.weather = weather
        self.mistake = mistake
    }

    private func require(_ holds: Bool, _ description: @autoclosure () -> String) {
        if !holds { violation = violation ?? description() }
    }

    // MARK: Copying

    /// Writes the sources, and what is at the targets before. A run that ends makes everything durable.
    func prepare() async throws {
        for (index, source) in sources.enumerated() { try await source.write(to: "/source\(index)") }
        for copy in copies { try await copy.before.write(to: copy.target) }
    }

    /// Makes all copies that were not begun, concurrently, and looks at them.
    func copyAll(_ simulation: Simulation) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in copies.indices where !copies[index].isBegun {
                copies[index].isBegun = true
                group.addTask {
                    let failure = try await self.make(self.copies[index], simulation)
                    self.copies[index].isDone = failure == nil
                    if let failure, self.weather.faults.isEmpty { throw failure }
                }
            }
            try await group.waitForAll()
        }
        try await check(afterCrash: false)
    }

    /// Returns the first failure.
    private func make(_ copy: MadeCopy, _ simulation: Simulation) async throws -> IOError? {
        if let mistake {
            let writer = WrongCopy(mistake: mistake, simulation: simulation)
            return try await writer.write(sources[copy.source], to: copy.target)
        }
        var options = CopyOptions()
        options.sync = true
        options.keepsMetadata = copy.options.keepsMetadata
        options.sharesBlocks = copy.options.sharesBlocks
        options.depth = copy.options.depth
        var failure: IOError?
        do throws(IOError) {
            try await FileSystem.copy(Path("/source\(copy.source)"), to: Path(copy.target), options: options) { error in
                failure = failure ?? error
            }
        } catch {
            failure = failure ?? error
        }
        return failure
    }

    // MARK: Checking

    /// Looks at the copies, and at the sources.
    func check(afterCrash: Bool) async throws {
        for (index, source) in sources.enumerated() {
            let found = try await TreeImage.read("/source\(index)")
            require(found == source, "the source \(index) has changed")
        }
        for index in copies.indices {
            if afterCrash, !copies[index].isDone { copies[index].isInterrupted = true }
            let copy = copies[index]
            check(copy, try await TreeImage.read(copy.target), afterCrash: afterCrash)
            checkCount += 1
        }
    }

    private func check(_ copy: MadeCopy, _ found: TreeImage, afterCrash: Bool) {
        let expected = sources[copy.source]
        for path in found.paths {
            guard let entry = found.entries[path] else { continue }
            if Self.isTemporary(path) {
                require(copy.isInterrupted, "\(copy.target) has \(path)")
                continue
            }
            let (new, old) = (expected.entries[path], copy.before.entries[path])
            require(new != nil || old != nil, "\(copy.target) has \(path), which is nobody's")
            // A directory gets its attributes at the end.
            guard entry.kind != .directory || copy.isDone else { continue }
            let isNew = new.map { matches(entry, $0, copy, afterCrash: afterCrash) } ?? false
            let isOld = old.map { entry == $0 && !(copy.isDone && new != nil) } ?? false
            require(
                isNew || isOld,
                "\(copy.target)/\(path) is \(entry.description), not \(new?.description ?? old?.description ?? "there")"
            )
        }
        for path in copy.before.paths { require(found.entries[path] != nil, "\(copy.target)/\(path) is gone") }
        guard copy.isDone else { return }
        for path in expected.paths { require(found.entries[path] != nil, "\(copy.target)/\(path) is missing") }
    }

    private static func isTemporary(_ path: String) -> Bool {
        let name = path.split(separator: "/").last ?? ""
        return name.hasPrefix(".aio-copy-") && name.utf8.count == 23
    }

    /// Whether an entry is the copy of another.
    private func matches(
        _ found: TreeImage.Entry, _ source: TreeImage.Entry, _ copy: MadeCopy, afterCrash: Bool
    ) -> Bool {
        var expected = source
        // Other names of the file may be missing yet.
        if !copy.isDone { expected.firstName = found.firstName }
        if !copy.options.keepsMetadata {
            (expected.user, expected.modified, expected.note) = (0, found.modified, nil)
            if case .link = source.kind {} else { expected.permissions &= ~0o022 }
            // A file or directory that is there already keeps what it has.
            if source.kind == .directory, copy.before.entries["" as String] != nil { return found.kind == source.kind }
        }
        // POSIX has no way to sync a link.
        if case .link = source.kind, afterCrash, weather.rules == .posix { return found.kind == source.kind }
        return found == expected
    }
}
