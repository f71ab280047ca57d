import AIO
import AIOSimulation
import UnitSupport

/// What a tree contains, by path below its root; the root itself is the empty path, also if it is a file.
struct TreeImage: Sendable, Equatable {
    enum Kind: Sendable, Hashable {
        case file([UInt8])
        case directory
        case link(String)
    }

    struct Entry: Sendable, Hashable {
        var kind: Kind
        var permissions: UInt16
        var user: UInt32
        var modified: Duration
        /// The extended attribute `user.note`; nil for links, which have none.
        var note: [UInt8]?
        /// The first of several names of one file; nil for one name.
        var firstName: String?

        var isFile: Bool { if case .file = kind { true } else { false } }

        var description: String {
            let what =
                switch kind {
                case .file(let bytes): "\(bytes.count) bytes"
                case .directory: "directory"
                case .link(let target): "link to \(target)"
                }
            let name = firstName.map { ", first name \($0)" } ?? ""
            return "(\(what), \(String(permissions, radix: 8)), user \(user), \(modified), note \(note ?? [])\(name))"
        }
    }

    var entries: [String: Entry] = [:]

    /// The paths; a directory precedes what it contains.
    var paths: [String] { entries.keys.sorted() }

    // MARK: Reading

    /// An empty image if there is nothing of that name.
    static func read(_ root: String) async throws -> TreeImage {
        var image = TreeImage()
        var found: [(path: String, status: FileStatus)] = []
        do throws(IOError) { found.append(("", try await FileSystem.status(of: Path(root), followLinks: false))) } catch
        {
            guard error.isNotFound else { throw error }
            return image
        }
        if found[0].status.isDirectory {
            for try await item in FileSystem.walk(Path(root), options: WalkOptions(.status)) {
                switch item {
                case .failure(let error): throw error
                case .entry(let entry):
                    guard entry.depth > 0, let status = entry.status else { continue }
                    found.append((String(entry.path.description.dropFirst(root.utf8.count + 1)), status))
                }
            }
        }
        let names = Dictionary(grouping: found.filter { $0.status.isRegularFile }, by: \.status.inode)
        for (path, status) in found {
            let same = names[status.inode]?.map(\.path) ?? []
            image.entries[path] = try await entry(
                path == "" ? root : "\(root)/\(path)", status, same.count > 1 ? same.min() : nil)
        }
        return image
    }

    private static func entry(_ path: String, _ status: FileStatus, _ firstName: String?) async throws -> Entry {
        let kind: Kind
        if status.isDirectory {
            kind = .directory
        } else if status.isSymbolicLink {
            kind = .link(try await FileSystem.readLink(Path(path)).description)
        } else {
            kind = .file(try await FileSystem.readFile(Path(path)))
        }
        let note = status.isSymbolicLink ? nil : try await FileSystem.extendedAttribute("user.note", of: Path(path))
        return Entry(
            kind: kind, permissions: status.permissions, user: status.userID, modified: status.modificationTime,
            note: note, firstName: firstName)
    }

    // MARK: Writing

    /// Writes the tree at a place where nothing is.
    func write(to root: String) async throws {
        for path in paths {
            guard let entry = entries[path] else { continue }
            let place = Path(path == "" ? root : "\(root)/\(path)")
            if let first = entry.firstName, first != path {
                try await FileSystem.link(Path("\(root)/\(first)"), to: place)
                continue
            }
            switch entry.kind {
            case .directory: try await FileSystem.makeDirectory(place)
            case .link(let target): try await FileSystem.makeSymbolicLink(at: place, to: Path(target))
            case .file(let bytes): try await Self.writeSparse(bytes, to: place)
            }
        }
        // Directories last: what is created in them changes their times.
        for path in paths.reversed() {
            guard let entry = entries[path] else { continue }
            try await entry.setAttributes(of: Path(path == "" ? root : "\(root)/\(path)"))
        }
    }

    /// Leaves holes where pieces are zero.
    private static func writeSparse(_ bytes: [UInt8], to path: Path) async throws {
        let file = try await File.open(path, .readWrite, options: [.create, .exclusive])
        try await file.truncate(to: Int64(bytes.count))
        for start in stride(from: 0, to: bytes.count, by: 65536) {
            let piece = bytes[start..<min(start + 65536, bytes.count)]
            if piece.contains(where: { $0 != 0 }) { try await file.writeAll(Array(piece), at: Int64(start)) }
        }
        try await file.close()
    }
}

extension TreeImage.Entry {
    func setAttributes(of path: Path) async throws {
        if let note { try await FileSystem.setExtendedAttribute("user.note", to: note, of: path) }
        try await FileSystem.setOwner(of: path, userID: user, followLinks: false)
        if case .link = kind {} else { try await FileSystem.setPermissions(permissions, of: path) }
        try await FileSystem.setTimes(of: path, modification: .at(modified), followLinks: false)
    }
}

extension TreeImage {
    // MARK: Making

    /// A tree of some entries that `random` chooses; a single file if `isFile`.
    init(_ random: inout SplitMix, isFile: Bool = false, isLarge: Bool = false) {
        var count = 0
        func entry(_ kind: Kind, _ random: inout SplitMix) -> Entry {
            count += 1
            let isLink = if case .link = kind { true } else { false }
            return Entry(
                kind: kind,
                permissions: isLink ? 0o777 : kind == .directory ? 0o750 : [0o644, 0o600, 0o755][count % 3],
                user: count % 3 == 0 ? 1000 : 0, modified: .seconds(900_000_000 + count),
                note: isLink || random.below(3) > 0 ? nil : [UInt8(count), 1], firstName: nil)
        }
        func content(_ random: inout SplitMix) -> [UInt8] {
            let (size, factor) = (random.below(4) * random.below(4000), random.below(100) + 1)
            return (0..<size).map { UInt8(truncatingIfNeeded: $0 &* factor &+ count) }
        }
        guard !isFile else {
            entries[""] = entry(.file(content(&random) + [7]), &random)
            return
        }
        entries[""] = entry(.directory, &random)
        for name in ["a", "b", "d/c", "d/e/f"] {
            for parent in name.indices.filter({ name[$0] == "/" }).map({ String(name[..<$0]) })
            where entries[parent] == nil {
                entries[parent] = entry(.directory, &random)
            }
            if random.below(4) > 0 { entries[name] = entry(.file(content(&random)), &random) }
        }
        if random.below(2) == 0 { entries["link"] = entry(.link("d/c"), &random) }
        if isLarge {
            let zeros = [UInt8](repeating: 0, count: 4 << 20)
            entries["large"] = entry(.file([UInt8](repeating: 3, count: 70_000) + zeros + [4, 5, 6]), &random)
        }
        // Two names of one file.
        if random.below(2) == 0, var file = entries["b"] {
            file.firstName = "b"
            (entries["b"], entries["d/second"]) = (file, file)
        }
    }
}
