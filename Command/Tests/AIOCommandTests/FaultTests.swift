import Foundation
import Testing
import UnitSupport

/// AIO_FAULTS, which debug builds of the command read.
@Suite(.timeLimit(.minutes(10))) struct FaultTests {
    @Test func aCallOfTheCommandFailsAsPlanned() throws {
        let folder = TemporaryDirectory()
        try Data([1, 2, 3]).write(to: URL(filePath: folder.file("a")))
        let run = try run("openat2@\(folder.path)/a=EIO", "$AIO copy a b", folder)
        #expect(run.status == 1 && run.errors.contains("EIO"), "\(run)")
        #expect(!FileManager.default.fileExists(atPath: folder.file("b")))
        let short = try self.run("write=short:1,read=short:1", "$AIO copy a b", folder)
        #expect(short.status == 0, "\(short)")
        #expect(try Data(contentsOf: URL(filePath: folder.file("b"))) == Data([1, 2, 3]))
    }

    @Test func aMisspeltPlanIsRefusedWithItsPart() throws {
        let folder = TemporaryDirectory()
        let run = try run("fsync=EIO,opne=EIO", "$AIO copy a b", folder)
        #expect(run.status == 2)
        #expect(run.errors.contains("AIO_FAULTS: opne=EIO: there is no such call"), "\(run.errors)")
    }

    private func run(_ faults: String, _ script: String, _ folder: TemporaryDirectory) throws -> CommandRun {
        try CommandRun(["AIO_FAULTS=\(faults)", "sh", "-c", script], in: folder.path)
    }
}
