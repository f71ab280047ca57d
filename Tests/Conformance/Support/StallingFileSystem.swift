import CKernel
import Glibc
import Testing
import UnitSupport

/// A FUSE file system some of whose files hang, served by a separate program: see Programs/stalling_fs.c.
struct StallingFileSystem: Sendable {
    /// Reads complete at once.
    var fast: String { "\(mount.root)/fast" }
    /// Reads hang until `release`.
    var hang: String { "\(mount.root)/hang" }
    /// The same without the page cache, so that a read can be interrupted.
    var hangDirect: String { "\(mount.root)/hang-direct" }

    private let mount: DetachedMount

    /// Runs `body` with a new file system. The test is skipped if that is not possible.
    static func with<R>(_ body: (StallingFileSystem) async throws -> R) async throws -> R {
        let program: String
        do { program = try Self.program.get() } catch {
            try Test.cancel("\(skipped("no FUSE file system: \(error)"))")
        }
        let device = Glibc.open("/dev/fuse", O_RDWR | O_CLOEXEC)
        guard device >= 0 else { try Test.cancel("\(skipped("no FUSE file system: no /dev/fuse"))") }
        let server: pid_t
        let mount: DetachedMount
        do {
            defer { closeDescriptor(device) }
            mount = try DetachedMount.orSkip(
                "fuse",
                [
                    ("fd", "\(device)"), ("rootmode", "40000"), ("user_id", "0"), ("group_id", "0"),
                    ("source", "stalling"),
                ])
            server = try serve(program, device)
        }
        defer {
            mount.release()
            // The server ends by itself when the last file is closed; it is killed so that this wait cannot hang.
            kill(server, SIGKILL)
            waitpid(server, nil, 0)
        }
        return try await body(StallingFileSystem(mount: mount))
    }

    /// Ends all stalls. To be called in a `defer` as well: a runtime does not end before its reads, so a test that
    /// fails earlier would hang.
    func release() {
        let descriptor = Glibc.open("\(mount.root)/release", O_RDONLY | O_CLOEXEC)
        if descriptor >= 0 { closeDescriptor(descriptor) }
    }

    /// The byte at an offset of any file.
    static func byte(at offset: Int64) -> UInt8 { UInt8(truncatingIfNeeded: (offset &* 131) >> 3) }

    private static func serve(_ program: String, _ device: Int32) throws -> pid_t {
        var process = pid_t()
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, device, 3)
        var arguments = [strdup(program), strdup("/dev/fd/3"), nil]
        defer { for argument in arguments { free(argument) } }
        try #require(posix_spawn(&process, program, &actions, nil, &arguments, environ) == 0)
        return process
    }

    /// The path of the program, which is compiled once. Its file has no name: it is there as long as this process holds
    /// it open.
    private static let program = Result { () throws -> String in
        let source = #filePath.replacing("Support/StallingFileSystem.swift", with: "Programs/stalling_fs.c")
        let path = "/tmp/swift-aio-stalling-\(getpid())"
        defer { unlink(path) }
        guard access("/usr/include/fuse3/fuse_lowlevel.h", R_OK) == 0 else {
            throw Unavailable(reason: "libfuse3-dev is not installed")
        }
        guard
            runs([
                "gcc", "-O1", "-Wall", "-Wextra", "-Werror", "-I/usr/include/fuse3", source, "-o", path, "-lfuse3",
                "-lpthread",
            ])
        else { throw Unavailable(reason: "gcc is not installed, or fails") }
        return "/proc/\(getpid())/fd/\(try openDescriptor(path))"
    }
}
