import Glibc

/// The file of a program to start.
struct ProgramFile {
    /// Contains a slash.
    var path: String

    /// Finds a program as a shell does: a name without a slash is searched for in PATH.
    static func find(_ name: String) throws(NotStarted) -> ProgramFile {
        guard !name.contains("/") else {
            let file = ProgramFile(path: name)
            if let refusal = file.refusal { throw refusal }
            return file
        }
        var refusal: NotStarted?
        for folder in folders where !name.isEmpty {
            let file = ProgramFile(path: folder.isEmpty ? "./\(name)" : "\(folder)/\(name)")
            guard access(file.path, F_OK) == 0 else { continue }
            guard let reason = file.refusal else { return file }
            refusal = refusal ?? reason
        }
        throw refusal ?? NotStarted(message: "\(name.quoted): not found in PATH", status: 127)
    }

    private static var folders: [Substring] {
        let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/local/bin:/usr/bin:/bin"
        return path.split(separator: ":", omittingEmptySubsequences: false)
    }

    /// Why the program cannot be started, as far as stat(2) and access(2) tell.
    private var refusal: NotStarted? {
        var state = stat()
        guard stat(path, &state) == 0 else { return refusal(errno) }
        guard state.st_mode & S_IFMT != S_IFDIR else { return refusal(EISDIR) }
        // execve(2) executes regular files alone.
        guard state.st_mode & S_IFMT == S_IFREG else { return refusal(EACCES) }
        return access(path, X_OK) == 0 ? nil : refusal(errno)
    }

    /// The refusal for an errno of stat(2), access(2) or execve(2).
    func refusal(_ errno: Int32) -> NotStarted {
        NotStarted(message: "\(path.quoted): \(Failure.text(errno: errno))", status: errno == ENOENT ? 127 : 126)
    }

    /// The words of a script's `#!` line; nil for any other file.
    var interpreterLine: [String]? {
        guard let file = fopen(path, "re") else { return nil }
        defer { fclose(file) }
        // The kernel also reads 256 bytes (BINPRM_BUF_SIZE).
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = fread(&bytes, 1, bytes.count, file)
        guard bytes.starts(with: "#!".utf8) else { return nil }
        let line = bytes[2..<max(count, 2)].prefix { $0 != UInt8(ascii: "\n") && $0 != 0 }
        return String(decoding: line, as: UTF8.self).split { $0 == " " || $0 == "\t" }.map(String.init)
    }
}
