import AIO
import CKernel
import Glibc
import Testing
import UnitSupport

/// What a killed process leaves of a file that it was replacing.
@Suite(.overSimulation, .notSimulated(.process), .timeLimit(.minutes(10))) struct ReplaceKillTests {
    private static let forms = ["once", "stream"]

    /// Many kills at random moments, in a folder with the leftovers of earlier ones.
    @Test(arguments: engines, forms)
    func afterAKillTheFileHoldsOneWholeVersion(_ engine: EngineKind, _ form: String) async throws {
        let program = try #require(replaceLoop, "replace-loop is not built: swift build --build-tests")
        try await BlockingThread.with {
            try await withScratch { scratch in
                _ = try scratch.file("file", Version.bytes(0))
                var random = SeededGenerator("kills over \(engine), \(form)")
                var version = 0
                let kills = 20
                for _ in 0..<kills {
                    let process = try start([program, scratch.path("file"), "\(engine)", "\(version + 1)", form])
                    // Waits for the first replacement, and then for a random number of reads.
                    let begun = version
                    var reads = Int.random(in: 0...60, using: &random)
                    while version == begun || reads > 0 {
                        if version != begun { reads -= 1 }
                        try #require(waitpid(process, nil, WNOHANG) == 0, "it ended by itself")
                        let found = try #require(Version.of(try scratch.content("file")), "torn after \(version)")
                        try #require(found >= version)
                        version = found
                    }
                    kill(process, SIGKILL)
                    waitpid(process, nil, 0)
                    let found = try #require(Version.of(try scratch.content("file")), "torn after \(version)")
                    try #require(found >= version)
                    version = found
                }
                let left = try scratch.names().filter { $0 != "file" }
                #expect(left.count <= kills)
                #expect(left.allSatisfy { isLeftover($0) }, "\(left)")
            }
        }
    }

    /// The process is killed at its last step; before the rename the old content is in place.
    @Test(.notSimulated(.process), arguments: forms, ["write", "fsync", "renameat2"])
    func whoIsKilledBeforeTheRenameHasChangedNothing(_ form: String, _ step: String) async throws {
        try await withScratch { scratch in
            _ = try scratch.file("file", [1])
            let path = scratch.path("file")
            await #expect(processExitsWith: .signal(SIGSYS)) {
                [path = path as String, form = form as String, step = step as String] in
                let runtime = try threadsRuntime()
                let bytes = [UInt8](repeating: 2, count: 1234)
                switch step {
                // Wake-ups are writes as well, of 8 bytes.
                case "write" where form == "once": try Seccomp.killAt(CK_NR_write, argument: 2, is: 1234)
                case "write": try Seccomp.killAt(CK_NR_pwritev2)
                case "fsync": try Seccomp.killAt(CK_NR_fsync)
                default: try Seccomp.killAt(CK_NR_renameat2)
                }
                if form == "once" {
                    try await Paths.replaceFile(Path(path), bytes, runtime: runtime)
                } else {
                    try await Paths.replaceFile(Path(path), runtime: runtime) { try await $0.writeAll(bytes, at: 0) }
                }
            }
            #expect(try scratch.content("file") == [1])
            let left = try scratch.names().filter { $0 != "file" }
            #expect(left.count == 1 && left.allSatisfy { isLeftover($0) }, "\(left)")
        }
    }

    /// Killed at the sync of the folder, which follows the rename.
    @Test(.notSimulated(.process)) func whoIsKilledAfterTheRenameHasReplacedTheFile() async throws {
        try await withScratch { scratch in
            _ = try scratch.file("file", [1])
            let folder = scratch.folder
            await #expect(processExitsWith: .signal(SIGSYS)) { [folder = folder as String] in
                let runtime = try threadsRuntime()
                try await Paths.replaceFile(Path(folder + "/file"), runtime: runtime) { file in
                    try await file.writeAll([2], at: 0)
                    let held = try #require(openDescriptors().first { target(of: $0) == folder })
                    try Seccomp.killAt(CK_NR_fsync, argument: 0, is: UInt32(held))
                }
            }
            #expect(try scratch.content("file") == [2])
            #expect(try scratch.names() == ["file"])
        }
    }
}

/// Without a ring, whose operations a seccomp filter cannot see.
private func threadsRuntime() throws -> IORuntime {
    var configuration = IORuntime.Configuration()
    configuration.engine = .forced(.threads)
    return try IORuntime(configuration)
}

/// The path that a descriptor refers to.
private func target(of descriptor: Int32) -> String {
    var path = [CChar](repeating: 0, count: 4096)
    let count = readlink("/proc/self/fd/\(descriptor)", &path, path.count)
    return String(decoding: path.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// Whether the name has the form that `FileSystem.replaceFile` documents.
private func isLeftover(_ name: String) -> Bool {
    name.hasPrefix(".aio-replace-") && name.utf8.count == 26
        && name.utf8.dropFirst(13).allSatisfy { (0x30...0x39).contains($0) || (0x61...0x7a).contains($0) }
}

/// The program in the folder of the tests' executable.
private let replaceLoop: String? = {
    var path = [CChar](repeating: 0, count: 4096)
    guard readlink("/proc/self/exe", &path, path.count - 1) > 0, let end = path.lastIndex(of: 0x2f) else { return nil }
    let program = String(decoding: path[..<end].map { UInt8(bitPattern: $0) }, as: UTF8.self) + "/replace-loop"
    return access(program, X_OK) == 0 ? program : nil
}()

private func start(_ arguments: [String]) throws -> pid_t {
    var process = pid_t()
    var vector = arguments.map { strdup($0) } + [nil]
    defer { for argument in vector { free(argument) } }
    try #require(posix_spawn(&process, arguments[0], nil, nil, &vector, environ) == 0)
    return process
}
