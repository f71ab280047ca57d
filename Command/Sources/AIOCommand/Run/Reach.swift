import Glibc

/// Whether the drop-in libraries reach a program, as far as its file tells.
enum Reach: Equatable {
    /// The program or one of its libraries imports functions of theirs.
    case reached
    /// The libraries cannot reach the program, for this reason. It is started with LD_PRELOAD set all the same.
    case notReached(String)
    /// As `notReached`, but LD_PRELOAD would disturb the program or keep it from starting. It is started without.
    case harmed(String)
    /// The program imports only `syscall`, which most programs use for other calls.
    case perhapsByNumber
    /// The program imports nothing that the libraries define.
    case unused

    /// Follows scripts to their interpreters.
    init(of path: String, depth: Int = 0) {
        // A file that cannot be examined is assumed to be reached.
        self = .reached
        // The kernel allows four levels of interpreters.
        if depth < 4, let line = ProgramFile(path: path).interpreterLine, let interpreter = line.first {
            let next = Reach.interpreter(interpreter, line).map { Reach(of: $0, depth: depth + 1) }
            // The interpreter's file does not show what the script itself starts.
            if let next, next != .unused { self = next }
        } else if let privilege = Privilege.gained(by: path) {
            self = .notReached("\(privilege): the dynamic linker ignores LD_PRELOAD for it")
        } else if let file = ELFFile(path: path) {
            self = Reach(of: file, path)
        }
    }

    private static func interpreter(_ path: String, _ line: [String]) -> String? {
        guard path.hasSuffix("/env") else { return path }
        let name = line.dropFirst().first { !$0.hasPrefix("-") && !$0.contains("=") }
        return name.flatMap { name in (try? ProgramFile.find(name))?.path }
    }

    private init(of file: ELFFile, _ path: String) {
        guard file.isForThisMachine else {
            self =
                file.is32Bit
                // The 32-bit dynamic linker would print an error for each library.
                ? .harmed("is a 32-bit program, and the libraries are for 64 bits: it is started without them")
                : .harmed("is built for another architecture: it is started without the libraries")
            return
        }
        guard let linker = file.interpreter else {
            self = .notReached("is statically linked: its calls cannot be reached")
            return
        }
        // musl loads the libraries, which need glibc, and then fails to start the program.
        guard !linker.contains("musl") else {
            self = .harmed("is linked with musl, and the libraries need glibc: it is started without them")
            return
        }
        if LibrarySearch(file, path).importsAsynchronousCalls() {
            self = .reached
        } else {
            self = file.imports.contains(ELFFile.systemCall) ? .perhapsByNumber : .unused
        }
    }

    /// Whether the libraries cannot serve the program, whatever it does.
    var isExcluded: Bool {
        switch self {
        case .notReached, .harmed: true
        case .reached, .perhapsByNumber, .unused: false
        }
    }

    /// A message for the user; nil if there is nothing to report.
    var remark: String? {
        switch self {
        case .reached: nil
        case .notReached(let reason), .harmed(let reason): reason
        case .perhapsByNumber:
            """
            imports neither Linux AIO nor POSIX AIO, as far as its symbols and those of its libraries show, but makes \
            system calls through libc's syscall function: Linux AIO is reached if it is among those, but not if the \
            program makes the system calls itself
            """
        case .unused:
            """
            uses neither Linux AIO nor POSIX AIO, as far as its symbols and those of its libraries show (it may load \
            libraries later, start programs that do, or make the system calls itself)
            """
        }
    }
}
