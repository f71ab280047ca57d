import AIOCore
import CKernel
import Foundation
import Testing
import UnitSupport

@testable import AIO

/// Copies of files that are other than they say, or change in the middle. Each step is made by hand.
@Suite struct OpenCopyTests {
    private func withFolder(_ body: (String) async throws -> Void) async throws {
        let folder = "/var/tmp/aio-open-copy-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await body(folder)
    }

    private func item(_ source: String, _ target: String, size: Int64) throws -> CopyItem {
        CopyItem(
            source: try #require(CopyPlace(Path(source), CK_O_PATH)),
            target: try #require(CopyPlace(Path(target), CK_O_PATH)), type: .regular, size: size, made: nil)
    }

    private func session(_ progress: CopyProgress) -> CopySession {
        var options = CopyOptions()
        options.sharesBlocks = false
        options.keepsMetadata = false
        return CopySession(options, progress, freeDescriptors: 1000)
    }

    private func content(_ path: String) throws -> [UInt8] { try [UInt8](Data(contentsOf: URL(filePath: path))) }

    /// It was large when the tree was read, and reports no size by now. Files of /proc do so and have content.
    @Test func aFileThatIsNoLongerLargeIsCopiedOnce() async throws {
        let runtime = try IORuntime()
        try await withFolder { folder in
            try Data().write(to: URL(filePath: "\(folder)/empty"))
            for source in ["/proc/version", "\(folder)/empty"] {
                let (progress, expected) = (CopyProgress(), try content(source))
                let item = try item(source, "\(folder)/copy", size: 64 << 20)
                let copy = LargeFileCopy(item: item, session: session(progress), runtime: runtime, deadline: .never)
                #expect(await copy.run() == nil)
                #expect(try content("\(folder)/copy") == expected)
                #expect(progress.bytes == expected.count && progress.files == 1)
                #expect(expected.isEmpty == (source != "/proc/version"))
            }
        }
        await runtime.shutdown()
    }

    /// A page is reported, and a line is there. A chmod in the middle changes the change time and nothing else.
    @Test func aFileThatGivesLessThanItSaysIsCopiedThoughItsPermissionsAreSetMeanwhile() async throws {
        let source = "/sys/devices/system/cpu/online"
        var status = stat()
        guard stat(source, &status) == 0, chmod(source, status.st_mode & 0o7777) == 0 else {
            try Test.cancel("\(skipped("no sysfs that this user may change"))")
        }
        try await withFolder { folder in
            let item = try item(source, "\(folder)/copy", size: Int64(status.st_size))
            let copy = try OpenCopy(item, session(CopyProgress()))
            #expect(try !copy.begin())
            try #require(chmod(source, status.st_mode & 0o7777) == 0)
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65536, alignment: 16)
            defer { buffer.deallocate() }
            try copy.copyPieces(buffer) { false }
            try copy.finish()
            #expect(try content("\(folder)/copy") == content(source))
        }
    }

    @Test func aFileThatBecameShorterIsNotComplete() async throws {
        try await withFolder { folder in
            let source = "\(folder)/source"
            try Data([UInt8](repeating: 1, count: 100_000)).write(to: URL(filePath: source))
            let copy = try OpenCopy(try item(source, "\(folder)/copy", size: 100_000), session(CopyProgress()))
            #expect(try !copy.begin())
            try #require(truncate(source, 10) == 0)
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65536, alignment: 16)
            defer { buffer.deallocate() }
            await expect(.unexpectedEndOfFile) { try copy.copyPieces(buffer) { false } }
            copy.abandon()
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["source"])
        }
    }
}
