import AIO

/// Compares files with what a list says of them.
struct HashCheck {
    /// Returns how many files have another hash, or could not be read.
    func run(_ list: Path) async throws -> Int {
        let (lines, badCount) = try await read(list)
        guard !lines.isEmpty else { throw Failure("\(list): no line as `aio hash` or sha256sum writes it") }
        let (output, complaints) = (OutputBuffer(), Complaints())
        var index = 0
        let queue = HashQueue { path, hash in
            defer { index += 1 }
            output.add(path)
            switch hash {
            case .digest(let digest) where digest == lines[index].digest: output.add(": OK\n")
            case .digest:
                output.add(": FAILED\n")
                complaints.add("\(path): the file has another hash")
            case .failure(let error):
                output.add(": FAILED open or read\n")
                complaints.add(error)
            }
            try output.flushIfLarge()
        }
        try await withThrowingTaskGroup(of: (Int, [FileHash]).self) { group in
            for line in lines {
                let status = try? await FileSystem.status(of: line.name)
                try await queue.add(line.name, size: status.map { $0.isRegularFile ? $0.size : nil } ?? nil, &group)
            }
            try await queue.finish(&group)
        }
        try output.flush()
        if badCount > 0 { Console.complain("\(list): \(badCount) lines are none as `aio hash` writes them") }
        return complaints.count
    }

    private func read(_ list: Path) async throws -> (lines: [HashLine], badCount: Int) {
        var lines: [HashLine] = []
        var badCount = 0
        do throws(IOError) {
            for line in try await FileSystem.readFile(list).split(separator: UInt8(ascii: "\n")) {
                if let line = HashLine(line) { lines.append(line) } else { badCount += 1 }
            }
        } catch {
            throw Failure("\(error)")
        }
        return (lines, badCount)
    }
}
