@_spi(AIOCommand) import AIO
import ArgumentParser

/// `aio hash`: SHA-256 digests of files.
struct HashCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hash",
        abstract: "Compute the SHA-256 digests of files, many read at a time.",
        usage: "aio hash PATH...\naio hash --check FILE",
        discussion: """
            Prints lines in the format of sha256sum(1); each command can check what the other printed. The format of \
            sha256sum --tag is read as well. A PATH that is a directory stands for the regular files in it, \
            recursively, sorted by name within each directory; symbolic links in it are skipped. A dash as PATH or \
            FILE stands for standard input. What cannot be read is reported on standard error, one line each, and \
            the exit status is then 1.
            """)

    @Option(help: ArgumentHelp("Read digests and names from FILE, and check the files.", valueName: "file"))
    var check: String?

    @Argument(help: ArgumentHelp("Files and directories.", valueName: "path"))
    var paths: [String] = []

    func validate() throws {
        guard paths.isEmpty == (check != nil) else {
            throw ValidationError(
                check == nil ? "hash needs a PATH" : "--check takes the names from its FILE; give no PATH")
        }
    }

    func run() async throws {
        let (roots, list) = (RawArguments.paths(paths), check.map { RawArguments.paths([$0])[0] })
        let failures = try await interruptible {
            if let list { return try await HashCheck().run(list) }
            return try await Self.hash(roots)
        }
        if failures > 0 { throw ExitCode(1) }
    }

    /// Returns the number of failures.
    private static func hash(_ roots: [Path]) async throws -> Int {
        let (output, complaints) = (OutputBuffer(), Complaints())
        let queue = HashQueue { path, hash in
            switch hash {
            case .digest(let digest): output.add(line: HashLine(digest: digest, name: path))
            case .failure(let error): complaints.add(error)
            }
            try output.flushIfLarge()
        }
        try await output.flushing {
            try await withThrowingTaskGroup(of: (Int, [FileHash]).self) { group in
                for root in roots { try await add(root, to: queue, complaints, &group) }
                try await queue.finish(&group)
            }
        }
        return complaints.count
    }

    private static func add(
        _ root: Path, to queue: HashQueue, _ complaints: Complaints, _ group: inout HashQueue.Group
    ) async throws {
        do {
            if root.isStandardInput { return try await queue.add(HashedFile(path: root), size: nil, &group) }
            let status = try await FileSystem.status(of: root)
            guard status.isDirectory else {
                return try await queue.add(HashedFile(path: root), size: status.knownSize, &group)
            }
            // A link to a folder that is named on the command line is followed.
            let isLink = try await FileSystem.status(of: root, followLinks: false).isSymbolicLink
            var walk = FileSystem.walk(isLink ? root.with([]) : root, options: WalkOptions([.status, .sorted]))
            walk.tellsDirectories = true
            for try await item in walk {
                switch item {
                case .failure(let error): complaints.add(error)
                case .entry(let entry):
                    guard entry.type == .regular else { continue }
                    let file = HashedFile(path: entry.path, nameInDirectory: entry.nameInDirectory)
                    try await queue.add(file, size: entry.status?.knownSize, &group)
                }
            }
        } catch let error as IOError where error.code != .cancelled {
            complaints.add(error)
        }
    }
}

extension FileStatus {
    /// nil for pipes and devices, whose size means nothing.
    fileprivate var knownSize: Int64? { isRegularFile ? size : nil }
}

extension OutputBuffer {
    func add(line: HashLine) {
        // On a terminal, names are quoted so that they cannot control it. A quoted name needs no escapes.
        add(bytes: isTerminal ? line.visible : line.bytes)
    }
}
