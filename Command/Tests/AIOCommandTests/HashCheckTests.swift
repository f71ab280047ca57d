import Foundation
import Testing
import UnitSupport

@testable import AIOCommand

/// `aio hash --check` beside `sha256sum --check`: what lists it takes, and what it says.
@Suite(.timeLimit(.minutes(10))) struct HashCheckTests {
    /// Makes a list by a shell's commands, and gives it to both by name, by a pipe, and as a dash.
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

    /// Else a name could say of another file what is not so.
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

    /// Whatever the number of descriptors is at which the first attempt to open it fails.
    @Test func standardInputIsHashedOnceThereAreDescriptors() throws {
        try withCommandFolder { folder in
            try Data("not this".utf8).write(to: URL(filePath: "\(folder)/-"))
            let digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824  -\n"
            for limit in 4..<32 {
                let process = Process()
                process.executableURL = URL(filePath: "/bin/sh")
                process.arguments = ["-c", "ulimit -Sn \(limit); exec \"$0\" hash -", CommandRun.aio.path]
                process.currentDirectoryURL = URL(filePath: folder)
                let (input, output, errors) = (Pipe(), Pipe(), Pipe())
                (process.standardInput, process.standardOutput, process.standardError) = (input, output, errors)
                try process.run()
                try? input.fileHandleForWriting.write(contentsOf: Data("hello".utf8))
                try? input.fileHandleForWriting.close()
                let identifier = process.processIdentifier
                let isStarved = {
                    let open = try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(identifier)/fd")
                    return open?.count == limit
                }
                #expect(eventually { !process.isRunning || isStarved() })
                _ = try CommandRun(["prlimit", "--pid", "\(identifier)", "--nofile=1024:"], in: "/")
                let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
                let complaint = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
                process.waitUntilExit()
                // With too few, no engine starts.
                let isWithoutEngine = process.terminationStatus == 1 && complaint.contains("EMFILE")
                #expect(text == digest || isWithoutEngine, "\(limit): \(text)\(complaint)")
            }
        }
    }

    @Test func standardInputIsHashedByADash() throws {
        try withCommandFolder { folder in
            let ours = try CommandRun(["aio", "hash", "-"], in: folder, input: Array("hello".utf8))
            #expect(ours.output == (try CommandRun(["sha256sum", "-"], in: folder, input: Array("hello".utf8))).output)
        }
    }
}
