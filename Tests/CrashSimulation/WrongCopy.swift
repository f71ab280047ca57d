import AIO
import AIOSimulation

/// Mistakes that a copy may make. The tests build each one in, to see that the simulation finds it.
package enum CopyMistake: Sendable, CaseIterable {
    /// Files are not synced.
    case noSync
    /// The directories within the copy are not synced.
    case noDirectorySync
    /// The directory that contains the copy is not synced.
    case noParentSync
    /// A file has its final name while it is written.
    case finalNameAtOnce
    /// The attributes are set after the sync.
    case attributesAfterSync
    /// A file gets its name although its sync failed.
    case failedSyncIgnored
}

/// A copy by hand, with a mistake.
struct WrongCopy {
    let mistake: CopyMistake
    let simulation: Simulation

    /// Returns the failure.
    func write(_ source: TreeImage, to root: String) async throws -> IOError? {
        do throws(IOError) { try await writeTree(source, root) } catch { return error }
        return nil
    }

    private func writeTree(_ source: TreeImage, _ root: String) async throws(IOError) {
        for path in source.paths {
            guard let entry = source.entries[path] else { continue }
            let place = path == "" ? root : "\(root)/\(path)"
            try await write(entry, path, place, root)
        }
        for path in source.paths.reversed() {
            guard let entry = source.entries[path], entry.kind == .directory else { continue }
            let place = path == "" ? root : "\(root)/\(path)"
            try await setAttributes(entry, place)
            if mistake != .noDirectorySync { try await sync(place) }
        }
        if mistake != .noParentSync { try await sync("/") }
    }

    private func write(
        _ entry: TreeImage.Entry, _ path: String, _ place: String, _ root: String
    ) async throws(IOError) {
        switch entry.kind {
        case .directory:
            do throws(IOError) { try await FileSystem.makeDirectory(Path(place)) } catch {
                guard error.isAlreadyExists else { throw error }
            }
        case .link(let target):
            try await FileSystem.makeSymbolicLink(at: Path(place), to: Path(target))
            try await setAttributes(entry, place)
        case .file(let bytes):
            if let first = entry.firstName, first != path {
                try await FileSystem.link(Path("\(root)/\(first)"), to: Path(place))
            } else {
                try await write(bytes, entry, place)
            }
        }
    }

    private func write(_ bytes: [UInt8], _ entry: TreeImage.Entry, _ place: String) async throws(IOError) {
        let digits = String(simulation.random(in: 0..<1_000_000_000_000))
        let name = ".aio-copy-" + String(repeating: "0", count: 13 - digits.utf8.count) + digits
        let directory = place.split(separator: "/").dropLast().map { "/\($0)" }.joined()
        let pending = mistake == .finalNameAtOnce ? place : "\(directory)/\(name)"
        try await FileSystem.writeFile(Path(pending), bytes)
        if mistake != .attributesAfterSync { try await setAttributes(entry, pending) }
        if mistake != .noSync { try await sync(pending) }
        if mistake == .attributesAfterSync { try await setAttributes(entry, pending) }
        if pending != place { try await FileSystem.rename(Path(pending), to: Path(place)) }
    }

    private func setAttributes(_ entry: TreeImage.Entry, _ path: String) async throws(IOError) {
        if let note = entry.note { try await FileSystem.setExtendedAttribute("user.note", to: note, of: Path(path)) }
        try await FileSystem.setOwner(of: Path(path), userID: entry.user, followLinks: false)
        if case .link = entry.kind {} else { try await FileSystem.setPermissions(entry.permissions, of: Path(path)) }
        try await FileSystem.setTimes(of: Path(path), modification: .at(entry.modified), followLinks: false)
    }

    private func sync(_ path: String) async throws(IOError) {
        let file = try await File.open(Path(path))
        do throws(IOError) { try await file.sync() } catch {
            do throws(IOError) { try await file.close() } catch {}
            guard mistake == .failedSyncIgnored else { throw error }
            return
        }
        try await file.close()
    }
}
