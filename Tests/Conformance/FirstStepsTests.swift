import AIO
import Glibc
import Testing

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
            let before = Self.names(in: "/tmp")
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
            #expect(Self.names(in: folder).isEmpty)
            // Other programs use this folder as well.
            #expect(Self.names(in: "/tmp").subtracting(before).filter { $0.hasPrefix("first-steps") }.isEmpty)
        }
    }

    private static func names(in folder: String) -> Set<String> {
        var names: Set<String> = []
        guard let entries = opendir(folder) else { return names }
        defer { closedir(entries) }
        while let entry = readdir(entries) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.insert(name) }
        }
        return names
    }
}
