import AIO
import Glibc
import Testing
import UnitSupport

/// A replacement whose sync fails, on a device that cannot store the data.
@Suite(.overSimulation, .timeLimit(.minutes(10)), .serialized) struct ReplaceSyncFaultTests {
    @Test(arguments: engines, [Durability.full, .data])
    func whatCannotBeSyncedDoesNotTakeTheName(_ engine: EngineKind, _ durability: Durability) async throws {
        try await withFailingFileSystem { scratch in
            let path = Path(try scratch.file("file", [1]))
            try keepWhatIsThere(scratch)
            let tooMuch = [UInt8](repeating: 2, count: 6 << 20)
            try await withRuntime(engine) { runtime in
                for form in ["once", "stream"] {
                    let error = await failure {
                        if form == "once" {
                            try await Paths.replaceFile(path, tooMuch, durability: durability, runtime: runtime)
                        } else {
                            try await Paths.replaceFile(path, durability: durability, runtime: runtime) { file in
                                try await file.writeAll(tooMuch, at: 0)
                            }
                        }
                    }
                    #expect(error?.code == .inputOutput || error?.code == .noSpace, "\(String(describing: error))")
                    let (content, names) = (try scratch.content("file"), try scratch.names())
                    #expect(content == [1] && names == ["file"])
                }
            }
        }
    }

    /// syncfs(2), so that the directory and the old file are on the device before it is full.
    private func keepWhatIsThere(_ scratch: Scratch) throws {
        #if arch(x86_64)
            let syncfs = 306
        #else
            let syncfs = 267
        #endif
        let folder = try openDescriptor(scratch.folder)
        defer { closeDescriptor(folder) }
        try #require(SystemCall.call(syncfs, Int(folder)) == 0)
    }

    private func failure(_ body: () async throws -> Void) async -> IOError? {
        do {
            try await body()
            return nil
        } catch {
            return error as? IOError
        }
    }

    /// A file system of 16 MiB on a device that can store only 2 MiB. It has no journal, which would shut it down at
    /// the first failure.
    private func withFailingFileSystem(_ body: (Scratch) async throws -> Void) async throws {
        let small = try DetachedMount.orSkip("tmpfs", [("size", "2m")])
        defer { small.release() }
        let image = "\(small.root)/backing"
        let backing = try openDescriptor(image, O_RDWR | O_CREAT)
        defer { closeDescriptor(backing) }
        try #require(ftruncate(backing, 16 << 20) == 0)
        // The path leads through this process, since mkfs has other descriptors.
        let made = runs([
            "mkfs.ext4", "-q", "-F", "-N", "64", "-O", "^has_journal", "-E", "nodiscard",
            "/proc/\(getpid())/fd/\(backing)",
        ])
        guard made else { try Test.cancel("\(skipped("mkfs.ext4 is not there, or failed"))") }
        do {
            let device = try LoopDevice(over: backing)
            let mount = try DetachedMount("ext4", [("source", device.path), ("errors", "continue")])
            defer { mount.release() }
            // From here on the mount holds the device.
            _ = consume device
            try await withScratch(in: mount.root, body)
        } catch let error as Unavailable {
            try Test.cancel("\(skipped("no file system that fails: \(error.reason)"))")
        }
    }
}
