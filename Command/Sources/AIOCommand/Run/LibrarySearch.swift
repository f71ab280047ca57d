import Glibc

/// A program's libraries, searched for imports of Linux AIO and POSIX AIO.
struct LibrarySearch {
    private let program: ELFFile
    private let origin: String

    init(_ program: ELFFile, _ path: String) {
        self.program = program
        origin = LibrarySearch.folder(of: path)
    }

    /// Whether the program or one of its direct or indirect dependencies imports one of the functions.
    func importsAsynchronousCalls() -> Bool {
        if Self.imports(program) { return true }
        var left = program.needed
        var seen = Set(left)
        while let name = left.popLast() {
            guard !Self.isProvider(name), let path = path(of: name), let library = ELFFile(path: path) else { continue }
            if Self.imports(library) { return true }
            left += library.needed.filter { seen.insert($0).inserted }
        }
        return false
    }

    private static func imports(_ file: ELFFile) -> Bool {
        !file.imports.isDisjoint(with: ELFFile.linuxAIO) || !file.imports.isDisjoint(with: ELFFile.posixAIO)
    }

    /// Libraries that define the functions and may import them from each other.
    private static func isProvider(_ name: String) -> Bool {
        ["libc.so", "librt.so", "libaio.so", "ld-linux"].contains { name.hasPrefix($0) }
    }

    /// Where the dynamic linker most likely finds the library. This does not read ld.so.cache, but searches the default
    /// folders that it is built from.
    private func path(of name: String) -> String? {
        guard !name.contains("/") else { return name }
        let folders = program.searchFolders + Self.environmentFolders + Self.systemFolders
        return folders.lazy
            .map { folder in
                // Both spellings are in use.
                Self.replace("$ORIGIN", in: Self.replace("${ORIGIN}", in: folder, with: origin), with: origin)
            }
            .map { "\($0)/\(name)" }
            .first { access($0, R_OK) == 0 }
    }

    private static func replace(_ placeholder: String, in text: String, with value: String) -> String {
        guard text.hasPrefix(placeholder) else { return text }
        return value + text.dropFirst(placeholder.count)
    }

    private static var environmentFolders: [String] {
        (getenv("LD_LIBRARY_PATH").map { String(cString: $0) } ?? "").split(separator: ":").map(String.init)
    }

    #if arch(arm64)
        private static let triple = "aarch64-linux-gnu"
    #else
        private static let triple = "x86_64-linux-gnu"
    #endif

    private static let systemFolders = [
        "/lib/\(triple)", "/usr/lib/\(triple)", "/usr/local/lib/\(triple)", "/usr/local/lib", "/lib64", "/usr/lib64",
        "/lib", "/usr/lib",
    ]

    private static func folder(of path: String) -> String {
        guard let real = realpath(path, nil) else { return "." }
        defer { free(real) }
        return String(cString: real).split(separator: "/").dropLast().map { "/\($0)" }.joined()
    }
}
