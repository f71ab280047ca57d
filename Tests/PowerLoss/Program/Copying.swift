import AIO

extension Workload {
    /// Copies a tree and a file again and again: the tree to a new name, and that copy to a second one, where Btrfs and
    /// XFS share the blocks; the file over the last one.
    func copyFiles(from source: String) async throws {
        for round in 0..<count {
            try await copy("\(source)/tree", to: "tree-\(round)")
            try mark("copied.tree-\(round)")
            try await copy("\(folder)/tree-\(round)", to: "again-\(round)")
            try mark("copied.again-\(round)")
            try mark("begin.\(round)")
            try await copy("\(source)/versions/\(round % 2)", to: "file")
            try mark("file.\(round)")
        }
    }

    private func copy(_ source: String, to name: String) async throws {
        var options = CopyOptions()
        options.sync = variant != "no-sync"
        let summary = try await FileSystem.copy(Path(source), to: Path("\(folder)/\(name)"), options: options)
        guard summary.failures == 0 else { throw IOError(.notFound, "copy", path: Path(source)) }
    }
}
