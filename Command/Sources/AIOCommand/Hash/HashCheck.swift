import AIO

/// Compares files with the digests in a list.
struct HashCheck {
    private let output = OutputBuffer()
    private let complaints = Complaints()

    /// Returns the number of files that differ or could not be read.
    func run(_ list: Path) async throws -> Int {
        let (lines, badCount) = try await read(list)
        guard !lines.isEmpty else { throw Failure("\(list): no line is in the format of sha256sum") }
        try await output.flushing { try await hash(lines) }
        if badCount > 0 {
            let text = badCount == 1 ? "1 line that is" : "\(badCount) lines that are"
            Console.complain("\(list): ignored \(text) not in the format of sha256sum")
        }
        return complaints.count
    }

    /// Hashes the files, and reports on each in the order of the list.
    private func hash(_ lines: [HashLine]) async throws {
        var index = 0
        let queue = HashQueue { path, hash in
            defer { index += 1 }
            report(path, hash, lines[index].digest)
            try output.flushIfLarge()
        }
        try await withThrowingTaskGroup(of: (Int, [FileHash]).self) { group in
            for line in lines {
                let status = line.name.isStandardInput ? nil : try? await FileSystem.status(of: line.name)
                let size = status.flatMap { $0.isRegularFile ? $0.size : nil }
                try await queue.add(HashedFile(path: line.name), size: size, &group)
            }
            try await queue.finish(&group)
        }
    }

    private func report(_ path: Path, _ hash: FileHash, _ expected: [UInt8]) {
        // On a terminal, names are quoted so that they cannot control it.
        if output.isTerminal { output.add(path) } else { output.add(bytes: HashLine.beginning(path)) }
        switch hash {
        case .digest(let digest) where digest == expected: output.add(": OK\n")
        case .digest:
            output.add(": FAILED\n")
            complaints.add("\(path): the digest does not match")
        case .failure(let error):
            output.add(": FAILED open or read\n")
            complaints.add(error)
        }
    }

    private func read(_ list: Path) async throws -> (lines: [HashLine], badCount: Int) {
        var lines: [HashLine] = []
        var badCount = 0
        for line in try await content(of: list).split(separator: UInt8(ascii: "\n")) {
            // Skips comments and empty lines with a carriage return.
            if line.first == UInt8(ascii: "#") || line.elementsEqual("\r".utf8) { continue }
            if let line = HashLine(line) { lines.append(line) } else { badCount += 1 }
        }
        return (lines, badCount)
    }

    /// Reads the list from a file, a pipe or a terminal.
    private func content(of list: Path) async throws -> [UInt8] {
        do {
            return try await withFile(list.isStandardInput ? "/dev/stdin" : list) { file in
                var content: [UInt8] = []
                for try await chunk in file.chunks(of: 65536) {
                    chunk.withUnsafeBytes { content.append(contentsOf: $0) }
                }
                return content
            }
        } catch let error as IOError {
            if error.code == .cancelled { throw error }
            throw Failure("\(error)")
        }
    }
}

extension Path {
    /// A single dash, as in the system's commands.
    var isStandardInput: Bool { bytes == [UInt8(ascii: "-")] }
}
