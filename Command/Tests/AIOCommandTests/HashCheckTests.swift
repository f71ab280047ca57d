import Foundation
import Testing
import UnitSupport

@testable import AIOCommand

/// `aio hash --check` compared with `sha256sum --check`: the lists that it accepts, and its output.
@Suite(.timeLimit(.minutes(10))) struct HashCheckTests {
    /// Makes a list with a shell script, and passes it to both by name, through a pipe, and as `-`.
    private func expectAsSha256sum(_ script: String, status: Int32 = 0) throws {
        try withCommandFolder { folder in
            let made = try CommandRun(["sh", "-c", "echo hello > f; echo other > g; \(script)"], in: folder)
            try #require(made.status == 0, "\(made.errors)")
            let list = try [UInt8](Data(contentsOf: URL(filePath: "\(folder)/list")))
            let theirs = try CommandRun(["sha256sum", "--check", "list"], in: folder)
            #expect(theirs.status == status, "\(script): \(theirs.errors)")
            for name in ["list", "/dev/stdin", "-"] {
                let ours = try CommandRun(["aio", "hash", "--check", name], in: folder, input: list)
                #expect(ours.status == theirs.status && ours.output == theirs.output, "\(script): \(ours.errors)")
            }
        }
    }

    @Test(arguments: [
        "sha256sum f g > list", "sha256sum f g | sed 's/$/\\r/' > list", "sha256sum --tag f g > list",
        "sha256sum --tag f | sed 's/ (/(/; s/) = /)= /' > list", "sha256sum -b f > list",
        "sha256sum g | tr a-f A-F > list", "sha256sum f | sed 's/^/  /' > list", "sha256sum f | tr -d '\\n' > list",
        "(echo '# a comment'; sha256sum f; echo; printf '\\r\\n') > list", "(sha256sum f; echo nonsense) > list",
        "(echo nonsense; sha256sum --tag g; echo abc  g) > list", "sha256sum f | sed 's/  / /' > list",
        "cp f 'a) = b'; sha256sum --tag 'a) = b' > list", "cp f ' '; sha256sum ' ' > list",
        "cp f 'a\\b'; sha256sum 'a\\b' > list", "cp f 'a\\b'; sha256sum --tag 'a\\b' > list",
        "cp f \"$(printf 'a\\rb')\"; sha256sum a*b > list",
    ])
    func listsThatSha256sumTakesAreTaken(_ script: String) throws { try expectAsSha256sum(script) }

    @Test(arguments: [
        "sha256sum f > list; echo more >> f", "sha256sum f g > list; rm g", "echo nonsense > list", ": > list",
        "(sha256sum f; echo nonsense) > list; rm f", "sha256sum --tag f | sed 's/SHA256/SHA1/' > list",
    ])
    func whatIsWrongIsSoToBoth(_ script: String) throws { try expectAsSha256sum(script, status: 1) }

    /// Otherwise a name could forge the result of another file.
    @Test func aNameMakesNoLineOfItsOwn() throws {
        for name in ["x\nimportant.bin: OK\ny", "a\r", "\\", "b\\n", "\n"] {
            try withCommandFolder { folder in
                try Data("content".utf8).write(to: URL(filePath: "\(folder)/\(name)"))
                let list = try CommandRun(["sha256sum", "--", name], in: folder)
                #expect(try CommandRun(["aio", "hash", "--", name], in: folder).output == list.output)
                try Data(list.output).write(to: URL(filePath: "\(folder)/list"))
                for content in ["content", "other"] {
                    try Data(content.utf8).write(to: URL(filePath: "\(folder)/\(name)"))
                    let theirs = try CommandRun(["sha256sum", "--check", "list"], in: folder)
                    let ours = try CommandRun(["aio", "hash", "--check", "list"], in: folder)
                    #expect(ours.output == theirs.output && ours.lines.count == 1, "\(ours.lines)")
                }
            }
        }
    }

    private func hasReader(_ fifo: String) -> Bool {
        let writer = open(fifo, O_WRONLY | O_NONBLOCK | O_CLOEXEC)
        if writer >= 0 { close(writer) }
        return writer >= 0
    }

    /// By prlimit(2) and not by a program, which takes longer than the command waits for descriptors on a busy machine.
    /// Glibc's module hides it.
    private func setDescriptorLimit(_ limit: rlim_t, of process: Process) throws -> Int32 {
        typealias Prlimit =
            @convention(c) (pid_t, Int32, UnsafePointer<rlimit>?, UnsafeMutablePointer<rlimit>?) -> Int32
        let prlimit = unsafeBitCast(try #require(dlsym(nil, "prlimit")), to: Prlimit.self)
        let number = Int32(RLIMIT_NOFILE.rawValue)
        var limits = rlimit()
        guard prlimit(process.processIdentifier, number, nil, &limits) == 0 else { return -1 }
        limits.rlim_cur = limit
        return prlimit(process.processIdentifier, number, &limits, nil)
    }

    /// A file with the name of the dash is not taken for it.
    @Test func standardInputWaitsForADescriptor() throws {
        try withCommandFolder { folder in
            try Data("not this".utf8).write(to: URL(filePath: "\(folder)/-"))
            let names = (0..<8).map { "fifo\($0)" }
            for name in names { try #require(mkfifo("\(folder)/\(name)", 0o600) == 0) }
            let process = Process()
            process.executableURL = CommandRun.aio
            process.arguments = ["hash"] + names + ["-"]
            process.currentDirectoryURL = URL(filePath: folder)
            let (input, output) = (Pipe(), Pipe())
            (process.standardInput, process.standardOutput) = (input, output)
            try process.run()
            try input.fileHandleForWriting.write(contentsOf: Data("hello".utf8))
            try input.fileHandleForWriting.close()
            // As many as are hashed at a time. Each of these calls waits until the command has opened the other end.
            let writers = names.map { open("\(folder)/\($0)", O_WRONLY | O_CLOEXEC) }
            #expect(try setDescriptorLimit(3, of: process) == 0)
            // Standard input is next, and cannot be opened.
            close(writers[0])
            #expect(eventually { !hasReader("\(folder)/\(names[0])") })
            #expect(try setDescriptorLimit(256, of: process) == 0)
            for writer in writers.dropFirst() { close(writer) }
            let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            process.waitUntilExit()
            let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
            let hello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
            #expect(text == (names.map { "\(empty)  \($0)\n" } + ["\(hello)  -\n"]).joined())
        }
    }

    @Test func standardInputIsHashedByADash() throws {
        try withCommandFolder { folder in
            let ours = try CommandRun(["aio", "hash", "-"], in: folder, input: Array("hello".utf8))
            #expect(ours.output == (try CommandRun(["sha256sum", "-"], in: folder, input: Array("hello".utf8))).output)
        }
    }
}
