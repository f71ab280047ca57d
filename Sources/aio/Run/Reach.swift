import Glibc

/// Whether the drop-in libraries reach a program, as far as its file tells.
enum Reach: Equatable {
    /// It, or a library of its, takes functions from them.
    case reached
    /// It is started as it is, and the reason why they cannot reach it.
    case notReached(String)
    /// The same, and they would keep it from starting.
    case harmed(String)
    /// It takes nothing from them but `syscall`, which most programs use for something else.
    case perhapsByNumber
    /// Nothing is to be seen that they would serve.
    case unused

    /// Follows scripts to what interprets them.
    init(of path: String, depth: Int = 0) {
        // A program that cannot be looked at is started all the same.
        self = .reached
        // The kernel follows four.
        if depth < 4, let line = ProgramFile(path: path).interpreterLine, let interpreter = line.first {
            let next = Reach.interpreter(interpreter, line).map { Reach(of: $0, depth: depth + 1) }
            // What a script starts is not to be seen in its interpreter.
            if let next, next != .unused { self = next }
        } else if let privilege = Privilege.gained(by: path) {
            self = .notReached("is \(privilege): the dynamic linker ignores LD_PRELOAD for it")
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
                // Their dynamic linker would complain of each library.
                ? .harmed("is a 32-bit program, and the libraries are for 64 bits: it is started without them")
                : .harmed("is made for another kind of processor: it is started without the libraries")
            return
        }
        guard let linker = file.interpreter else {
            self = .notReached("is statically linked: its calls cannot be reached")
            return
        }
        // musl takes libraries that are made for glibc, and then fails to start the program.
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

    /// For the person at the terminal; nil if there is nothing to say.
    var remark: String? {
        switch self {
        case .reached: nil
        case .notReached(let reason), .harmed(let reason): reason
        case .perhapsByNumber:
            """
            takes neither Linux AIO nor POSIX AIO from a library, as far as its symbols and its libraries' show, but \
            makes system calls through libc's syscall function: Linux AIO is reached if it is among those, and not if \
            the program makes the system calls itself
            """
        case .unused:
            """
            uses neither Linux AIO nor POSIX AIO, as far as its symbols and its libraries' show (it may load them \
            later, start programs that do, or make the system calls itself)
            """
        }
    }
}
