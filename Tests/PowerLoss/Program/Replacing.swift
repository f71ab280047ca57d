import AIO

extension Workload {
    /// Four tasks replace a file each, and every fifth time create one under a new name.
    func replaceFiles() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for task in 0..<4 {
                group.addTask {
                    for step in 1...count {
                        let version = step * 4 + task
                        let name = step % 5 == 0 ? "new-\(version)" : "file-\(task)"
                        try mark("begin.\(name).\(version)")
                        try await replace("\(folder)/\(name)", content(version), inPieces: step % 2 == 0)
                        try mark("done.\(name).\(version)")
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    private func replace(_ path: String, _ bytes: [UInt8], inPieces: Bool) async throws {
        let durability: Durability =
            switch variant {
            case "no-sync": .none
            case "no-directory-sync": .data
            default: .full
            }
        if inPieces {
            try await FileSystem.replaceFile(Path(path), durability: durability) { file in
                for start in stride(from: 0, to: bytes.count, by: 30_000) {
                    try await file.writeAll(Array(bytes[start..<min(start + 30_000, bytes.count)]), at: Int64(start))
                }
            }
        } else {
            try await FileSystem.replaceFile(Path(path), bytes, durability: durability)
        }
        // This wrong version omits the sync of the file alone.
        if variant == "no-sync" { try await syncFolder() }
    }

    private func syncFolder() async throws {
        let directory = try await File.open(Path(folder), options: .directory)
        try await directory.sync()
        try await directory.close()
    }
}

/// The check knows this content too: the version, and bytes that follow from it.
private func content(_ version: Int) -> [UInt8] {
    withUnsafeBytes(of: version.littleEndian) { Array($0) }
        + [UInt8](repeating: UInt8(1 + version % 251), count: version &* 7919 % 100_000)
}
