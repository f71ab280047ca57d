import AIO
import AIOSimulation

/// Mistakes that a replacement may make. The tests build each one in, to see that the simulation finds it.
package enum ReplaceMistake: Sendable, CaseIterable {
    /// The new content is not synced before it gets its name.
    case noSync
    /// The new content is synced after it has got its name.
    case syncAfterRename
    /// The directory is not synced.
    case noDirectorySync
    /// The file itself is emptied and written anew.
    case inPlace
    /// The attributes are set after the sync.
    case attributesAfterSync
    /// The file gets its name although its sync failed.
    case failedSyncIgnored
}

/// Replaces files: by the library, or by hand with a mistake.
struct Replacer {
    let mistake: ReplaceMistake?
    let simulation: Simulation

    func replace(_ file: ReplacedFile, with content: [UInt8], _ way: ReplaceWay) async throws {
        if let mistake {
            try await replaceWrongly(file, content, mistake)
        } else {
            try await replaceRightly(file, content, way)
        }
        if way.syncsDirectory { try await syncDirectory() }
    }

    private func replaceRightly(_ file: ReplacedFile, _ content: [UInt8], _ way: ReplaceWay) async throws {
        switch way.form {
        case .whole: try await FileSystem.replaceFile(file.path, content, durability: way.durability)
        case .throughLink:
            try await FileSystem.replaceFile(file.link, content, durability: way.durability)
        case .inPieces:
            try await FileSystem.replaceFile(file.path, durability: way.durability) { open in
                for start in stride(from: 0, to: content.count, by: 3000) {
                    try await open.writeAll(
                        Array(content[start..<min(start + 3000, content.count)]), at: Int64(start))
                }
            }
        case .inDirectory:
            let directory = try await File.open("/data", options: .directory)
            do {
                try await FileSystem.replaceFile(Path(file.name), in: directory, content, durability: way.durability)
            } catch {
                try? await directory.close()
                throw error
            }
            try await directory.close()
        }
    }

    private func syncDirectory() async throws {
        let directory = try await File.open("/data", options: .directory)
        do { try await directory.sync() } catch {
            try? await directory.close()
            throw error
        }
        try await directory.close()
    }

    // MARK: Wrong

    private func replaceWrongly(_ file: ReplacedFile, _ content: [UInt8], _ mistake: ReplaceMistake) async throws {
        let isInPlace = mistake == .inPlace
        let digits = String(simulation.random(in: 0..<1_000_000_000_000))
        let name = String(repeating: "0", count: 13 - digits.utf8.count) + digits
        let path = isInPlace ? file.path : Path("/data/.aio-replace-\(name)")
        try await FileSystem.writeFile(path, content)
        let attributesAreLate = mistake == .attributesAfterSync
        if !isInPlace, !attributesAreLate { try await keepAttributes(of: file, path) }
        if mistake != .noSync, mistake != .syncAfterRename { try await sync(path, mistake) }
        if attributesAreLate { try await keepAttributes(of: file, path) }
        if !isInPlace { try await FileSystem.rename(path, to: file.path) }
        if mistake == .syncAfterRename { try await sync(file.path, mistake) }
        if mistake != .noDirectorySync { try await syncDirectory() }
    }

    private func keepAttributes(of file: ReplacedFile, _ path: Path) async throws {
        try await FileSystem.setPermissions(file.attributes.permissions, of: path)
        try await FileSystem.setOwner(of: path, userID: file.attributes.user)
        if let note = file.attributes.note {
            try await FileSystem.setExtendedAttribute("user.note", to: note, of: path)
        }
    }

    private func sync(_ path: Path, _ mistake: ReplaceMistake) async throws {
        let file = try await File.open(path, .readWrite)
        do { try await file.sync() } catch {
            try? await file.close()
            guard mistake == .failedSyncIgnored else { throw error }
            return
        }
        try await file.close()
    }
}
