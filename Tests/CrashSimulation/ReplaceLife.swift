import AIO
import AIOSimulation
import UnitSupport

/// What one life of a directory of replaced files did and saw.
final class ReplaceLife: @unchecked Sendable {
    // @unchecked: the simulation's thread uses it, and the history afterwards.
    private(set) var files: [ReplacedFile]
    private(set) var violation: String?
    private(set) var checkCount = 0
    private let weather: Weather
    private let mistake: ReplaceMistake?

    init(_ files: [ReplacedFile], _ weather: Weather, _ mistake: ReplaceMistake?) {
        self.files = files
        self.weather = weather
        self.mistake = mistake
    }

    private func require(_ holds: Bool, _ description: @autoclosure () -> String) {
        if !holds { violation = violation ?? description() }
    }

    // MARK: Replacing

    /// Makes the directory, and the files that are there at the beginning. A run that ends makes everything durable.
    func prepare() async throws {
        try await FileSystem.makeDirectory("/data")
        for file in files where file.newest > 0 {
            try await FileSystem.writeFile(file.path, file.content(1))
            try await FileSystem.setPermissions(file.attributes.permissions, of: file.path)
            try await FileSystem.setOwner(of: file.path, userID: file.attributes.user)
            if let note = file.attributes.note {
                try await FileSystem.setExtendedAttribute("user.note", to: note, of: file.path)
            }
        }
        for file in files { try await FileSystem.makeSymbolicLink(at: file.link, to: file.path) }
    }

    func replace(_ index: Int, _ way: ReplaceWay, _ simulation: Simulation) async throws {
        files[index].begin(way, weather.rules)
        let file = files[index]
        let replacer = Replacer(mistake: mistake, simulation: simulation)
        try await replacer.replace(file, with: file.content(file.newest), way)
        files[index].succeed(way)
        // The program sees the new content at once.
        let content = try await FileSystem.readFile(file.path)
        require(content == file.content(file.newest), "\(file.name) is not what it was replaced with")
        checkCount += 1
    }

    /// Each file has one task. After an error of the disk it goes on, as a program may.
    func replaceAll(_ simulation: Simulation) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in files.indices {
                group.addTask {
                    for _ in 0..<simulation.random(in: 1..<6) {
                        let way = ReplaceWay { simulation.random(in: 0..<$0) }
                        do { try await self.replace(index, way, simulation) } catch {
                            guard error is IOError, !self.weather.faults.isEmpty else { throw error }
                            try await self.checkAfterError(index)
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        try await checkNames(allowingLeftovers: mistake != nil)
    }

    /// The name has a whole version, whatever failed.
    private func checkAfterError(_ index: Int) async throws {
        let file = files[index]
        do throws(IOError) {
            let content = try await FileSystem.readFile(file.path)
            let isWhole = (max(file.oldest, 1)...file.newest).contains { file.content($0) == content }
            require(isWhole || file.mayBeTorn, "\(file.name) is no whole version after an error")
        } catch {
            guard error.isNotFound else { throw error }
            require(file.oldest == 0, "\(file.name) is gone after an error")
        }
        checkCount += 1
    }

    // MARK: After the loss of power

    /// Looks at every file, and removes temporary ones.
    func check() async throws {
        for index in files.indices {
            let found = try await found(files[index].path)
            violation = violation ?? files[index].check(found)
            checkCount += 1
        }
        try await checkNames(allowingLeftovers: true)
    }

    private func found(_ path: Path) async throws -> (content: [UInt8], attributes: ReplacedFile.Attributes)? {
        do throws(IOError) {
            let status = try await FileSystem.status(of: path)
            let note = try await FileSystem.extendedAttribute("user.note", of: path)
            let attributes = ReplacedFile.Attributes(
                permissions: status.permissions, user: status.userID, note: note)
            return (try await FileSystem.readFile(path), attributes)
        } catch {
            guard error.isNotFound else { throw error }
            return nil
        }
    }

    /// Nothing is there but the files. A loss of power may leave temporary files, which are removed.
    private func checkNames(allowingLeftovers: Bool) async throws {
        var leftovers: [Path] = []
        let names = Set(files.map { Path($0.name) })
        for try await entry in FileSystem.entries(of: "/data") where !names.contains(entry.name) {
            let name = String(decoding: entry.name.bytes, as: UTF8.self)
            let isTemporary = name.hasPrefix(".aio-replace-") && name.utf8.count == 26
            require(isTemporary && allowingLeftovers, "\(name) is left over")
            leftovers.append(entry.name)
        }
        for name in leftovers { try await FileSystem.unlink(Path("/data/\(name)")) }
    }
}

/// A way to replace a file.
struct ReplaceWay: Sendable, CustomStringConvertible {
    enum Form: Int, Sendable, CaseIterable {
        case whole, inPieces, inDirectory, throughLink
    }

    var durability: Durability
    /// Whether the caller syncs the directory.
    var syncsDirectory: Bool
    var form: Form

    init(_ random: inout SplitMix) { self.init { random.below($0) } }

    /// `choose` returns a number below the one that it gets.
    init(choosing choose: (Int) -> Int) {
        let all: [(Durability, Bool)] = [(.full, false), (.full, false), (.data, false), (.data, true), (.none, false)]
        (durability, syncsDirectory) = all[choose(all.count)]
        form = Form.allCases[choose(Form.allCases.count)]
    }

    var description: String { "\(form), \(durability)\(syncsDirectory ? " and a sync of the directory" : "")" }
}
