import Glibc

/// The file of a program that is to be started.
struct ProgramFile {
    /// With a slash in it.
    var path: String

    /// Looks for a program as a shell does: a name without a slash in the folders of PATH.
    init(named name: String) throws(NotStarted) {
        guard !name.contains("/") else {
            path = name
            return try check()
        }
        var refusal: NotStarted?
        for folder in Self.folders {
            path = folder.isEmpty ? "./\(name)" : "\(folder)/\(name)"
            guard !name.isEmpty, access(path, F_OK) == 0 else { continue }
            do throws(NotStarted) { return try check() } catch { refusal = refusal ?? error }
        }
        throw refusal ?? NotStarted(message: "\(name): not found in PATH", status: 127)
    }

    init(path: String) { self.path = path }

    private static var folders: [Substring] {
        let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/local/bin:/usr/bin:/bin"
        return path.split(separator: ":", omittingEmptySubsequences: false)
    }

    private func check() throws(NotStarted) {
        var state = stat()
        guard stat(path, &state) == 0 else { throw refusal(errno) }
        guard state.st_mode & S_IFMT != S_IFDIR else { throw refusal(EISDIR) }
        guard access(path, X_OK) == 0 else { throw refusal(errno) }
    }

    /// For the errno with which it could not be started.
    func refusal(_ errno: Int32) -> NotStarted {
        NotStarted(message: "\(path): \(Failure.text(errno: errno))", status: errno == ENOENT ? 127 : 126)
    }

    /// The words of a script's first line; nil if it is no script.
    var interpreterLine: [String]? {
        guard let file = fopen(path, "re") else { return nil }
        defer { fclose(file) }
        // As much as the kernel looks at.
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = fread(&bytes, 1, bytes.count, file)
        guard bytes.starts(with: "#!".utf8) else { return nil }
        let line = bytes[2..<max(count, 2)].prefix { $0 != UInt8(ascii: "\n") && $0 != 0 }
        return String(decoding: line, as: UTF8.self).split { $0 == " " || $0 == "\t" }.map(String.init)
    }
}
