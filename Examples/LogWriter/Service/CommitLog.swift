internal import AIO

/// A file to which lines are appended in groups: one write and one sync for all lines that arrive while the previous
/// group is being written.
actor CommitLog {
    private let file: File
    /// The size of the file in bytes, up to the end of its last durable line.
    private var size: Int64
    private var pending: [UInt8] = []
    private var waiting: [CheckedContinuation<IOError?, Never>] = []
    /// The task in `run`, while there is nothing to write.
    private var idle: CheckedContinuation<Void, Never>?
    private var isClosed = false
    private var failure: IOError?
    private let shortcuts: Shortcuts

    /// Opens or creates the file. Truncates an incomplete last line: it was never acknowledged.
    static func open(_ path: Path, _ shortcuts: Shortcuts) async throws -> CommitLog {
        let file = try await File.open(path, .readWrite, options: .create)
        do { return try await CommitLog(file, recover(file, path, shortcuts), shortcuts) } catch {
            try? await file.close()
            throw error
        }
    }

    /// Returns the size that the log continues from.
    private static func recover(_ file: File, _ path: Path, _ shortcuts: Shortcuts) async throws -> Int64 {
        // Two processes would overwrite each other's lines.
        guard try await file.tryLock(.exclusive) else {
            throw IOError(.alreadyExists, "lock", path: path, advice: "another log-writer has this file")
        }
        let keepsAll = shortcuts.contains(.incompleteLineKept)
        let size = keepsAll ? try await file.status().size : try await endOfLastLine(file)
        try await file.truncate(to: size)
        try await file.sync()
        if !shortcuts.contains(.noDirectorySync) { try await syncName(path) }
        return size
    }

    /// Makes the file's name durable: a sync of the file need not do that.
    private static func syncName(_ path: Path) async throws {
        // Empty for a single name.
        let parent = path.parent ?? ""
        let directory = try await File.open(parent == "" ? "." : parent, options: .directory)
        do { try await directory.sync() } catch {
            try? await directory.close()
            throw error
        }
        try await directory.close()
    }

    private init(_ file: File, _ size: Int64, _ shortcuts: Shortcuts) {
        self.file = file
        self.size = size
        self.shortcuts = shortcuts
    }

    private static func endOfLastLine(_ file: File) async throws -> Int64 {
        var end = try await file.status().size
        while end > 0 {
            let start = max(0, end - 65536)
            let piece = try await file.read(upTo: Int(end - start), at: start)
            if let index = piece.lastIndex(of: UInt8(ascii: "\n")) { return start + Int64(index) + 1 }
            end = start
        }
        return 0
    }

    /// Appends whole lines and returns when they are durable. Each connection has one call in flight, which bounds the
    /// memory.
    func append(_ lines: [UInt8]) async throws {
        if let failure { throw failure }
        pending += lines
        idle?.resume()
        idle = nil
        if let error = await withCheckedContinuation({ waiting.append($0) }) { throw error }
    }

    /// Writes groups until the log is closed and everything is written. It stops after an error, because the file's
    /// state on disk is then unknown.
    func run() async throws {
        while true {
            while pending.isEmpty, !isClosed { await withCheckedContinuation { idle = $0 } }
            guard !pending.isEmpty else { break }
            let (group, callers) = (pending, waiting)
            (pending, waiting) = ([], [])
            failure = await commit(group)
            for caller in callers { caller.resume(returning: failure) }
            if failure != nil { break }
        }
        for caller in waiting { caller.resume(returning: failure) }
        waiting = []
        try await file.close()
        if let failure { throw failure }
    }

    private func commit(_ group: [UInt8]) async -> IOError? {
        do throws(IOError) {
            try await file.writeAll(group, at: size)
            if !shortcuts.contains(.noSync) { try await sync() }
            size += Int64(group.count)
            return nil
        } catch {
            return error
        }
    }

    private func sync() async throws(IOError) {
        do throws(IOError) { try await file.sync(.data) } catch {
            guard shortcuts.contains(.failedSyncIgnored) else { throw error }
        }
    }

    /// No more lines may be appended after this.
    func close() {
        isClosed = true
        idle?.resume()
        idle = nil
    }
}
