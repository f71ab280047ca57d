import Foundation
import Testing
import UnitSupport

/// `aio copy`, `aio du` and `aio hash`, run as programs and compared with the system's.
@Suite(.timeLimit(.minutes(10))) struct TreeCommandTests {
    private typealias Outcome = CommandRun

    private func run(_ arguments: [String], in folder: String) throws -> Outcome {
        try CommandRun(arguments, in: folder)
    }

    private func withFolder(_ body: (String) throws -> Void) throws { try withCommandFolder(body) }

    private static let names: [[UInt8]] = [
        Array("plain".utf8), Array("two\nlines".utf8), Array("a\\b".utf8), Array("a\rb".utf8), Array(" ".utf8),
        [0xff, 0xfe], Array("a\u{1b}[31m".utf8), [UInt8](repeating: 0xc3, count: 255),
    ]

    /// Unusual names, hard links, holes, and symbolic links.
    private func makeTree(_ folder: String) throws {
        for name in ["tree", "tree/a", "tree/a/b", "tree/empty"] {
            try #require(mkdir("\(folder)/\(name)", 0o755) == 0)
        }
        for (index, name) in Self.names.enumerated() {
            let path = Array("\(folder)/tree/a/".utf8) + name + [0]
            let descriptor = path.withUnsafeBytes {
                open($0.baseAddress!.assumingMemoryBound(to: CChar.self), O_CREAT | O_WRONLY | O_CLOEXEC, 0o644)
            }
            try #require(descriptor >= 0)
            let content = [UInt8](repeating: UInt8(index), count: 3000 * index)
            try #require(write(descriptor, content, content.count) == content.count)
            close(descriptor)
        }
        try Data(repeating: 7, count: 5 << 20).write(to: URL(filePath: "\(folder)/tree/large"))
        try #require(link("\(folder)/tree/large", "\(folder)/tree/a/b/same") == 0)
        try #require(symlink("large", "\(folder)/tree/link") == 0)
        let sparse = open("\(folder)/tree/sparse", O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
        try #require(ftruncate(sparse, 10 << 20) == 0 && pwrite(sparse, "x", 1, 6 << 20) == 1)
        close(sparse)
    }

    @Test func aCopyDoesNotDifferFromWhatCpMakes() throws {
        try withFolder { folder in
            try makeTree(folder)
            let outcome = try run(["aio", "copy", "tree", "copy"], in: folder)
            #expect(outcome.status == 0 && outcome.errors == "" && outcome.output.isEmpty)
            #expect(try run(["cp", "-a", "tree", "theirs"], in: folder).status == 0)
            for other in ["tree", "theirs"] {
                #expect(try run(["diff", "-r", "--no-dereference", other, "copy"], in: folder).status == 0)
            }
            let list = ["find", ".", "-printf", "%P %m %n %y %l %T@ %b\\0"]
            let sorted = { (name: String) in
                try run(list, in: "\(folder)/\(name)").output.split(separator: 0).map(Array.init).sorted {
                    $0.lexicographicallyPrecedes($1)
                }
            }
            // The blocks of folders and of holes depend on the file system.
            #expect(try sorted("copy").count == sorted("theirs").count)
            let (ours, theirs) = try (
                run(["aio", "du", "-s", "copy"], in: folder), run(["du", "-s", "theirs"], in: folder)
            )
            #expect(ours.lines.first?.split(separator: "\t").first == theirs.lines.first?.split(separator: "\t").first)
            // Into a folder, under its own name; and a folder is not copied into itself.
            #expect(try run(["aio", "copy", "--sync", "tree", "theirs"], in: folder).status == 0)
            #expect(try run(["diff", "-r", "--no-dereference", "tree", "theirs/tree"], in: folder).status == 0)
            let itself = try run(["aio", "copy", "tree", "tree/a"], in: folder)
            #expect(itself.status == 1 && itself.errors.contains("lies inside"))
        }
    }

    @Test func failuresOfACopyAreALineEachAndTheRestGoesOn() throws {
        try withFolder { folder in
            try makeTree(folder)
            try #require(mkdir("\(folder)/copy", 0o755) == 0 && mkdir("\(folder)/copy/two\nlines", 0o755) == 0)
            try #require(rename("\(folder)/tree/a", "\(folder)/a") == 0)
            let outcome = try run(["aio", "copy", "missing", "a/two\nlines", "a/plain", "copy"], in: folder)
            #expect(outcome.status == 1)
            let lines = outcome.errors.split(separator: "\n")
            #expect(lines.count == 2 && lines.allSatisfy { $0.hasPrefix("aio: ") }, "\(outcome.errors)")
            #expect(outcome.errors.contains("missing") && outcome.errors.contains("two\\u{a}lines"))
            #expect(FileManager.default.fileExists(atPath: "\(folder)/copy/plain"))
            #expect(try run(["aio", "copy", "a/plain"], in: folder).status == 2)
            #expect(try run(["aio", "copy", "a/plain", "a/b", "nowhere"], in: folder).status == 1)
        }
    }

    @Test(arguments: [[], ["-s"], ["-a"], ["-h"], ["-d", "1"], ["-x"], ["-s", "-h"]])
    func diskUsageIsThatOfDu(_ options: [String]) throws {
        try withFolder { folder in
            try makeTree(folder)
            for roots in [["tree"], ["tree/a", "tree"], ["tree", "tree/a/b", "tree/link"], ["."], []] {
                let ours = try run(["aio", "du"] + options + roots, in: folder)
                let theirs = try run(["du"] + options + roots, in: folder)
                #expect(ours.status == 0 && ours.errors == "")
                let sorted = { (outcome: Outcome) in
                    outcome.output.split(separator: 10).map(Array.init).sorted { $0.lexicographicallyPrecedes($1) }
                }
                #expect(sorted(ours) == sorted(theirs), "\(roots): \(ours.lines) and \(theirs.lines)")
            }
        }
    }

    @Test func apparentSizesAreWhatFilesSayToHave() throws {
        try withFolder { folder in
            try makeTree(folder)
            let bytes = 3000 * (0..<Self.names.count).reduce(0, +) + (5 << 20) + "large".utf8.count + (10 << 20)
            #expect(try run(["aio", "du", "-b", "-s", "tree"], in: folder).lines == ["\(bytes)\ttree"])
            let kibibytes = try run(["aio", "du", "--apparent-size", "-s", "tree"], in: folder).lines
            #expect(kibibytes == ["\((bytes + 1023) / 1024)\ttree"])
            let missing = try run(["aio", "du", "missing", "tree/empty"], in: folder)
            #expect(missing.status == 1 && missing.lines.count == 1 && missing.errors.contains("missing"))
        }
    }

    @Test func hashesAreThoseOfSha256sumInTheOrderOfNames() throws {
        try withFolder { folder in
            try makeTree(folder)
            let ours = try run(["aio", "hash", "tree"], in: folder)
            #expect(ours.status == 0 && ours.errors == "")
            let theirs = try run(
                ["sh", "-c", "find tree -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum"], in: folder)
            let sorted = { (outcome: Outcome) in outcome.output.split(separator: 10).map(Array.init) }
            #expect(
                sorted(ours).sorted { $0.lexicographicallyPrecedes($1) }
                    == sorted(theirs).sorted { $0.lexicographicallyPrecedes($1) })
            #expect(try run(["aio", "hash", "tree"], in: folder).output == ours.output)
            // Each reads the other's lists.
            try Data(ours.output).write(to: URL(filePath: "\(folder)/list"))
            #expect(try run(["sha256sum", "--check", "--strict", "--quiet", "list"], in: folder).status == 0)
            let check = try run(["aio", "hash", "--check", "list"], in: folder)
            #expect(check.status == 0 && check.errors == "")
            try Data([1]).write(to: URL(filePath: "\(folder)/tree/a/plain"))
            try #require(unlink("\(folder)/tree/sparse") == 0)
            let changed = try run(["aio", "hash", "--check", "list"], in: folder)
            #expect(changed.status == 1 && changed.lines.contains("tree/a/plain: FAILED"))
            #expect(changed.lines.contains("tree/sparse: FAILED open or read"))
            #expect(changed.errors.split(separator: "\n").count == 2)
        }
    }

    @Test func namedFilesAreHashedInTheirOrder() throws {
        try withFolder { folder in
            try makeTree(folder)
            let names = ["tree/large", "tree/a/plain", "tree/link", "/proc/version"]
            let ours = try run(["aio", "hash"] + names, in: folder)
            #expect(ours.output == (try run(["sha256sum"] + names, in: folder).output))
            let missing = try run(["aio", "hash", "missing", "tree/large"], in: folder)
            #expect(missing.status == 1 && missing.lines.count == 1)
            #expect(try run(["aio", "hash"], in: folder).status == 2)
        }
    }

    /// A line that is not written is an error of its own kind, and ends the command.
    @Test(arguments: [["du"], ["du", "."], ["hash", "."]])
    func whatCannotBeWrittenEndsTheCommandWithTheReason(_ command: [String]) throws {
        try withFolder { folder in
            let name = String(repeating: "n", count: 200)
            for index in 0..<1000 {
                try #require(mkdir("\(folder)/\(name)\(index)", 0o755) == 0)
                try Data().write(to: URL(filePath: "\(folder)/\(name)\(index)/file"))
            }
            let script = "\"$AIO\" \(command.joined(separator: " ")) > /dev/full"
            let run = try run(["sh", "-c", script], in: folder)
            #expect(
                run.status == 1 && run.errors == "aio: write to standard output: No space left on device\n",
                "\(run.errors)")
        }
    }

    /// Standard input does not end, and each line waits for those before it.
    @Test func whatWasHashedBeforeAnInterruptIsWritten() throws {
        try withFolder { folder in
            try #require(mkdir("\(folder)/tree", 0o755) == 0)
            for index in 0..<300 { try Data("\(index)".utf8).write(to: URL(filePath: "\(folder)/tree/\(index)")) }
            let process = Process()
            process.executableURL = CommandRun.aio
            process.arguments = ["hash", "tree", "-"]
            process.currentDirectoryURL = URL(filePath: folder)
            let (input, output) = (DescriptorPair.pipe(), Pipe())
            process.standardInput = FileHandle(fileDescriptor: input.first, closeOnDealloc: false)
            process.standardOutput = output
            process.standardError = FileHandle.nullDevice
            input.send(Array("some".utf8))
            try process.run()
            // Once this is read, at most eight jobs of sixteen files each are not delivered.
            var entry = pollfd(fd: input.first, events: Int16(POLLIN), revents: 0)
            #expect(eventually { !process.isRunning || poll(&entry, 1, 0) == 0 })
            kill(process.processIdentifier, SIGINT)
            let lines = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            process.waitUntilExit()
            #expect(process.terminationStatus == 130)
            #expect(lines.split(separator: "\n").count >= 300 - 8 * 16)
        }
    }

    /// A copy that is asked to stop leaves complete files, and no temporary names.
    @Test func anInterruptedCopyLeavesNothingHalf() throws {
        try withFolder { folder in
            try #require(mkdir("\(folder)/tree", 0o755) == 0)
            for index in 0..<2000 { try Data(count: 20_000).write(to: URL(filePath: "\(folder)/tree/\(index)")) }
            for name in try interruptedCopy(in: folder).names {
                let size = try FileManager.default.attributesOfItem(atPath: "\(folder)/copy/\(name)")[.size] as? Int
                #expect(!name.hasPrefix(".aio-copy-") && size == 20_000, "\(name)")
            }
        }
    }
}
