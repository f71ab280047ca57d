import Foundation
import Glibc
import Testing
import UnitSupport

/// `aio run` replaces itself by a program that uses the drop-in libraries.
@Suite(.timeLimit(.minutes(15))) struct RunTests {
    // MARK: The program's arguments and status

    @Test func argumentsPassThroughUntouched() async throws {
        let arguments = ["--help", "-h", "--stats", "", "a b", "--", "--engine", "none", "*", "é"]
        for separator in [[], ["--"]] {
            let outcome = try await run(separator + ["/usr/bin/printf", "[%s]\n"] + arguments)
            #expect(outcome.output == arguments.map { "[\($0)]\n" }.joined())
            #expect(outcome.ending == .exited(0))
        }
    }

    @Test func argumentsThatAreNotTextPassThroughUntouched() async throws {
        let outcome = try await shell(#"exec "$0" run printf '%s' "$(printf '\377\200')" | od -An -tx1"#)
        #expect(outcome.output.trimmingCharacters(in: .whitespacesAndNewlines) == "ff 80")
    }

    @Test(arguments: [0, 1, 77, 255] as [Int32])
    func theExitStatusIsThePrograms(_ status: Int32) async throws {
        #expect(try await run(["sh", "-c", "exit \(status)"]).ending == .exited(status))
    }

    @Test(arguments: [SIGTERM, SIGKILL, SIGINT])
    func theSignalThatEndsItIsThePrograms(_ signal: Int32) async throws {
        #expect(try await run(["sh", "-c", "kill -\(signal) $$"]).ending == .killed(signal: signal))
    }

    @Test func theProcessIsTheSame() async throws {
        let outcome = try await shell(#"echo $$; exec "$0" run sh -c 'echo $$'"#)
        let numbers = outcome.output.split(separator: "\n")
        #expect(numbers.count == 2)
        #expect(numbers.first == numbers.last)
    }

    @Test func signalsAreBlockedAndIgnoredAsTheCallerHasThem() async throws {
        let commands = ["exec", "exec \"$0\" run"].map {
            "trap '' TERM USR1; \($0) grep -E '^Sig(Blk|Ign)' /proc/self/status"
        }
        let alone = try await shell(commands[0])
        #expect(try await shell(commands[1]).output == alone.output)
        #expect(alone.output.contains("SigIgn:"))
    }

    // MARK: The environment

    @Test func theLibrariesStandBeforeWhatIsPreloadedAlready() async throws {
        let outcome = try await run(["printenv", "LD_PRELOAD"], environment: ["LD_PRELOAD": "libm.so.6"])
        let folder = try await folder()
        #expect(outcome.output == "\(folder)/libaio.so.1:\(folder)/libposixaio.so:libm.so.6\n")
    }

    @Test func theLibrariesAreReallyLoaded() async throws {
        let outcome = try await run(["cat", "/proc/self/maps"])
        let folder = try await folder()
        for name in ["libaio.so.1", "libposixaio.so"] { #expect(outcome.output.contains(" \(folder)/\(name)\n")) }
    }

    @Test func optionsBecomeTheLibrariesEnvironment() async throws {
        let variables = ["AIO_ENGINE", "AIO_STATS"]
        #expect(try await settings(["--engine", "threads", "--stats"], variables) == ["threads", "1"])
        #expect(try await settings(["--engine=auto", "--stats-file", "/tmp/x"], variables) == ["unset", "/tmp/x"])
        #expect(try await settings(["--stats-file", "1"], variables) == ["unset", "/1"])
        #expect(try await settings([], variables) == ["unset", "unset"])
    }

    private func settings(_ options: [String], _ names: [String]) async throws -> [String] {
        let script = names.map { "echo ${\($0)-unset}" }.joined(separator: "; ")
        return try await run(options + ["sh", "-c", script]).output.split(separator: "\n").map(String.init)
    }

    // MARK: Programs that cannot be started

    @Test func whatIsNotThereEndsWith127() async throws {
        try await expectFailure(["no-such-program"], 127, "aio: no-such-program: not found in PATH\n")
        try await expectFailure(["/no/such"], 127, "aio: /no/such: No such file or directory\n")
        try await withFile("#!/no/interpreter\n") { path in
            let text = "aio: \(path): its interpreter /no/interpreter does not exist\n"
            try await expectFailure([path], 127, text)
        }
    }

    @Test func whatCannotBeStartedEndsWith126() async throws {
        try await expectFailure(["/tmp"], 126, "aio: /tmp: Is a directory\n")
        try await withFile("text", mode: 0o644) { path in
            try await expectFailure([path], 126, "aio: \(path): Permission denied\n")
        }
    }

    @Test func wrongUsageEndsWith2() async throws {
        let seeHelp = "(see aio run --help)\n"
        try await expectFailure([], 2, "aio: no PROGRAM is given \(seeHelp)")
        try await expectFailure(["--"], 2, "aio: no PROGRAM is given \(seeHelp)")
        try await expectFailure(["--unknown", "true"], 2, "aio: unknown option '--unknown' \(seeHelp)")
        let engines = "aio: unknown engine 'wrong'; the engines are auto, io_uring, threads, linux-aio, readahead"
        let outcome = try await run(["--engine", "wrong", "true"])
        #expect(outcome.ending == .exited(2))
        #expect(outcome.errors.hasPrefix(engines))
    }

    @Test func helpIsOnlyThatOfTheCommandBeforeTheProgram() async throws {
        for option in ["--help", "-h"] {
            let outcome = try await run([option])
            #expect(outcome.ending == .exited(0))
            #expect(outcome.output.contains("USAGE: aio run "))
        }
    }

    @Test func withoutTheLibrariesNothingIsStarted() async throws {
        let outcome = try await run(["echo", "started"], environment: ["AIO_DROPINS": "/no/such/folder"])
        #expect(outcome.ending == .exited(1))
        #expect(outcome.output == "")
        #expect(
            outcome.errors == "aio: AIO_DROPINS: /no/such/folder does not contain libaio.so.1 and libposixaio.so\n")
    }

    @Test func anInstalledCommandFindsTheLibrariesBesideIt() async throws {
        let folder = try await folder()
        try await Environment.withScratch { scratch in
            let files = FileManager.default
            try files.createDirectory(atPath: "\(scratch)/bin", withIntermediateDirectories: true)
            try files.copyItem(atPath: Self.command, toPath: "\(scratch)/bin/aio")
            let installed = ["\(scratch)/bin/aio", "run", "printenv", "LD_PRELOAD"]
            let missing = try await Command(installed).run()
            #expect(missing.ending == .exited(1))
            #expect(missing.errors.contains("run Scripts/build-dropins, or set AIO_DROPINS"))
            try files.createDirectory(atPath: "\(scratch)/lib", withIntermediateDirectories: true)
            try files.copyItem(atPath: folder, toPath: "\(scratch)/lib/swift-aio")
            let found = try await Command(installed).run()
            #expect(found.output.hasPrefix("\(scratch)/lib/swift-aio/libaio.so.1:"))
        }
    }

    // MARK: Programs that the libraries do not reach

    @Test func aStaticProgramIsStartedAndSaidToBeOutOfReach() async throws {
        try await withProgram("int main(void) { return 3; }", ["-static"]) { path in
            let remark = "aio: \(path) is statically linked: its calls cannot be reached\n"
            let outcome = try await run([path])
            #expect(outcome.ending == .exited(3))
            #expect(outcome.errors == remark)
            try await expectFailure(["--require", path], 1, remark)
            // The interpreter in a script's first line is the program that is started.
            try await withFile("#!/usr/bin/env -S \(path) x\n") { script in
                let outcome = try await run([script])
                #expect(outcome.errors.hasSuffix("is statically linked: its calls cannot be reached\n"))
            }
        }
    }

    @Test(.enabled(if: getuid() == 0, "only the super user can make a program of another user's"))
    func aSetuidProgramIsStartedAndSaidToBeOutOfReach() async throws {
        try await withProgram("int main(void) { return 3; }", []) { path in
            #expect(chown(path, 65534, 65534) == 0 && chmod(path, 0o4755) == 0)
            let outcome = try await run([path])
            #expect(outcome.ending == .exited(3))
            #expect(outcome.errors == "aio: \(path) is setuid: the dynamic linker ignores LD_PRELOAD for it\n")
            #expect(chmod(path, 0o2755) == 0)
            #expect(try await run([path]).errors.contains(" is setgid: "))
            // A setuid program of the caller itself gains no privileges.
            #expect(chown(path, 0, 0) == 0 && chmod(path, 0o6755) == 0)
            #expect(try await !run([path]).errors.contains("LD_PRELOAD"))
        }
    }

    @Test func whatUsesOneOfTheInterfacesIsStartedWithoutARemark() async throws {
        for call in ["aio_read((void *)1)", "io_submit((void *)1, 0, 0)"] {
            let source = "int main(int n, char **v) { return n > 1 ? \(call) : 3; }"
            let libraries = [Library.libaio.systemPath].compactMap { $0 }
            try #require(!libraries.isEmpty, "no libaio.so.1 is installed")
            try await withProgram(source, ["-w", "-fpermissive"] + libraries) { path in
                let outcome = try await run([path])
                #expect(outcome.ending == .exited(3))
                #expect(outcome.errors == "", "\(call)")
            }
        }
    }

    @Test func whatMakesSystemCallsByNumberIsSaidToBeReachedPerhaps() async throws {
        try await withProgram("int main(void) { return syscall(39) > 0 ? 3 : 4; }", ["-w", "-fpermissive"]) { path in
            let outcome = try await run(["--require", path])
            #expect(outcome.ending == .exited(3))
            #expect(outcome.errors.hasPrefix("aio: \(path) imports neither Linux AIO nor POSIX AIO, "))
            #expect(outcome.errors.contains("syscall function: Linux AIO is reached if it is among those"))
            #expect(outcome.errors.split(separator: "\n").count == 1)
        }
    }

    @Test func aProgramFor32BitsIsStartedWithoutTheLibraries() async throws {
        try await Environment.withScratch { folder in
            let path = "\(folder)/program"
            try Data(Self.programFor32Bits).write(to: URL(filePath: path))
            chmod(path, 0o755)
            let remark =
                "aio: \(path) is a 32-bit program, and the libraries are for 64 bits: it is started without them\n"
            try await expectFailure(["--require", path], 1, remark)
            let outcome = try await run([path])
            // Not every 64-bit kernel runs such programs.
            #expect(outcome.errors.hasPrefix(remark))
            #expect(outcome.ending != .exited(0) || outcome.errors == remark)
            #expect(!outcome.errors.contains("LD_PRELOAD"))
        }
    }

    /// An ELF header of 52 bytes and a program header of 32, then `mov $1, %eax; xor %ebx, %ebx; int $0x80`.
    private static let programFor32Bits: [UInt8] = {
        let code: [UInt8] = [0xB8, 1, 0, 0, 0, 0x31, 0xDB, 0xCD, 0x80]
        let start: UInt32 = 0x0804_8000
        let size = UInt32(84 + code.count)
        var bytes: [UInt8] = [0x7F, 0x45, 0x4C, 0x46, 1, 1, 1] + [UInt8](repeating: 0, count: 9)
        for half in [2, 3] as [UInt16] { withUnsafeBytes(of: half) { bytes += $0 } }
        for word in [1, start + 84, 52, 0, 0] { withUnsafeBytes(of: word) { bytes += $0 } }
        for half in [52, 32, 1, 0, 0, 0] as [UInt16] { withUnsafeBytes(of: half) { bytes += $0 } }
        for word in [1, 0, start, start, size, size, 5, 0x1000] { withUnsafeBytes(of: word) { bytes += $0 } }
        return bytes + code
    }()

    @Test func whatUsesNeitherIsSaidToDoSo() async throws {
        let outcome = try await run(["--require", "true"])
        #expect(outcome.ending == .exited(0))
        #expect(outcome.errors.contains(" uses neither Linux AIO nor POSIX AIO, "))
        #expect(outcome.errors.split(separator: "\n").count == 1)
    }

    @Test func aScriptWithoutAFirstLineIsForTheShell() async throws {
        try await withFile("echo \"$0 $1\"; exit 9") { path in
            let outcome = try await run([path, "--x"])
            #expect(outcome.output == "\(path) --x\n")
            #expect(outcome.ending == .exited(9))
        }
    }
}

extension RunTests {
    /// The command, which is built into the same folder as the tests.
    static let command = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        .appending(path: "aio").path

    private func folder() async throws -> String {
        URL(filePath: try await Library.libaio.path()).deletingLastPathComponent().resolvingSymlinksInPath().path
    }

    private func run(_ arguments: [String], environment: [String: String] = [:]) async throws -> Outcome {
        var command = Command([Self.command, "run"] + arguments)
        command.environment = ["AIO_DROPINS": try await folder()].merging(environment) { $1 }
        return try await command.run()
    }

    /// `$0` is the command.
    private func shell(_ script: String) async throws -> Outcome {
        var command = Command(["/bin/sh", "-c", script, Self.command])
        command.environment = ["AIO_DROPINS": try await folder()]
        return try await command.run()
    }

    private func expectFailure(_ arguments: [String], _ status: Int32, _ errors: String) async throws {
        let outcome = try await run(arguments)
        #expect(outcome.ending == .exited(status))
        #expect(outcome.output == "")
        #expect(outcome.errors == errors)
    }

    private func withFile(_ text: String, mode: mode_t = 0o755, _ body: (String) async throws -> Void) async throws {
        try await Environment.withScratch { folder in
            try text.write(toFile: "\(folder)/program", atomically: false, encoding: .utf8)
            chmod("\(folder)/program", mode)
            try await body("\(folder)/program")
        }
    }

    private func withProgram(
        _ source: String, _ flags: [String], _ body: (String) async throws -> Void
    ) async throws {
        guard let compiler = Environment.path(ofTool: "gcc") ?? Environment.path(ofTool: "cc") else {
            try Test.cancel("\(skipped("no C compiler is installed"))")
        }
        try await Environment.withScratch { folder in
            try source.write(toFile: "\(folder)/program.c", atomically: false, encoding: .utf8)
            let path = "\(folder)/program"
            let outcome = try await Command([compiler, "-o", path, "\(path).c"] + flags).run()
            guard outcome.succeeded else { throw Unavailable(reason: outcome.errors) }
            // The folder admits only its owner, but the setuid program runs as another user.
            chmod(folder, 0o755)
            try await body(path)
        }
    }
}
