import AIO
import AIOCore
import CKernel
import Glibc
import Testing
import UnitSupport

/// A device that cannot store the data: a loop device over a file on a small tmpfs. Its writeback really fails.
@Suite(.overSimulation, .timeLimit(.minutes(10)), .serialized) struct SyncFailureTests {
    @Test(arguments: engines)
    func aFailedSyncIsRememberedByItsFile(_ engine: EngineKind) async throws {
        try await withFailingDevice { device in
            try await withRuntime(engine) { runtime in
                let file = try await File.open(Path(device), .readWrite, runtime: runtime)
                try await file.sync()
                try await writeMoreThanFits(file)
                let first = await syncError(file, .full)
                #expect(first?.code == .inputOutput || first?.code == .noSpace, "\(String(describing: first))")
                // The kernel reports the error once; `File` keeps reporting it, with the reason.
                for level in [SyncLevel.full, .data, .full] {
                    let later = await syncError(file, level)
                    #expect(later?.code == .syncFailedBefore)
                    #expect(later?.path == Path(device))
                    #expect(later?.advice?.contains(first?.errno?.description ?? "?") == true)
                }
                try? await file.close()
            }
        }
    }

    /// Three callers share the sync that fails; it follows one that was cancelled before it began.
    @Test(arguments: engines)
    func everyoneWhoSharesAFailedSyncGetsItsError(_ engine: EngineKind) async throws {
        try await withFailingDevice { device in
            try await withRuntime(engine, { $0.queueDepth = 1 }) { runtime in
                let file = try await File.open(Path(device), .readWrite, runtime: runtime)
                try await writeMoreThanFits(file)
                try await Ends.with { ends in
                    let reading = ends.reading
                    let read = Task {
                        let memory = Memory(count: 1)
                        return try await runtime.perform(.read(memory.transfer(reading)))
                    }
                    try await eventually { runtime.inFlightCount == 1 }
                    let first = Task { try await file.sync() }
                    try await eventually { file.isSyncing }
                    let sharing = (0..<3).map { _ in Task { await syncError(file, .data) } }
                    try await eventually { file.syncWaiterCount == 3 }
                    first.cancel()
                    await expectError(.cancelled) { try await first.value }
                    read.cancel()
                    _ = await read.result
                    for sync in sharing {
                        let error = await sync.value
                        #expect(error?.errno == .some(Errno(rawValue: EIO)) || error?.code == .noSpace)
                    }
                    #expect(await syncError(file, .full)?.code == .syncFailedBefore)
                }
                try? await file.close()
            }
        }
    }

    /// The raw operation returns the kernel's own result on every engine.
    @Test(arguments: ways)
    func aSyncOfAFailingDeviceFailsAsFsyncDoes(_ way: Way) async throws {
        try await withFailingDevice { device in
            let descriptor = try openDescriptor(device, O_RDWR)
            defer { closeDescriptor(descriptor) }
            let chunk = [UInt8](repeating: 1, count: 1 << 20)
            for offset in 0..<8 { _ = pwrite(descriptor, chunk, chunk.count, off_t(offset) << 20) }
            try await way.run { performer in
                let errno = await performer.errno(of: .sync(Descriptor(descriptor), .full))
                #expect([EIO, ENOSPC].contains(errno))
            }
        }
    }

    private func syncError(_ file: File, _ level: SyncLevel) async -> IOError? {
        do throws(IOError) {
            try await file.sync(level)
            return nil
        } catch {
            return error
        }
    }

    private func writeMoreThanFits(_ file: File) async throws {
        let chunk = [UInt8](repeating: 1, count: 1 << 20)
        for offset in Int64(0)..<8 { try await file.writeAll(chunk, at: offset << 20) }
    }

    /// Calls `body` with the path of a device of 16 MiB, of which only 2 MiB can be written.
    private func withFailingDevice<R>(_ body: (String) async throws -> R) async throws -> R {
        let small = try DetachedMount.orSkip("tmpfs", [("size", "2m")])
        defer { small.release() }
        let backing = try openDescriptor("\(small.root)/backing", O_RDWR | O_CREAT)
        defer { closeDescriptor(backing) }
        try #require(ftruncate(backing, 16 << 20) == 0)
        let device: LoopDevice
        do { device = try LoopDevice(over: backing) } catch let error as Unavailable {
            try Test.cancel("\(skipped("no loop device: \(error.reason)"))")
        }
        let result = try await body(device.path)
        _ = consume device
        return result
    }
}
