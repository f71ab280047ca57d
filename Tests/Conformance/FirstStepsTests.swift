import AIO
import Glibc
import Testing
import UnitSupport

/// The example: it does what the README's samples do, and leaves nothing behind.
@Suite(.overSimulation, .notSimulated(.process), .timeLimit(.minutes(10))) struct FirstStepsTests {
    @Test(arguments: engines)
    func theFirstStepsLeaveNoFileBehind(_ engine: EngineKind) async throws {
        let program = try #require(
            programBesideTests("first-steps"), "first-steps is not built: swift build --build-tests")
        try await withScratch { scratch in
            let folder = scratch.path("temporary")
            try #require(mkdir(folder, 0o700) == 0)
            defer { rmdir(folder) }
            let before = Set(entryNames(in: "/tmp") ?? [])
            var ends = try Ends(.pipe, false)
            let reading = ends.reading
            defer { closeDescriptor(reading) }
            let process = try startProgram(
                [program], ["AIO_ENGINE=\(engine)", "TMPDIR=\(folder)"], output: ends.writing)
            ends.closeWriting()
            let text = String(decoding: readToEnd(reading), as: UTF8.self)
            var status: Int32 = 0
            while waitpid(process, &status, 0) < 0, errno == EINTR {}
            #expect(status == 0 && text.split(separator: "\n").count == 3, "\(text)")
            #expect(entryNames(in: folder)?.isEmpty == true)
            // Other programs use this folder as well.
            let new = Set(entryNames(in: "/tmp") ?? []).subtracting(before)
            #expect(new.allSatisfy { !$0.hasPrefix("first-steps") })
        }
    }
}
