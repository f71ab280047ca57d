import Foundation
import Testing
import UnitSupport

/// Properties of our libraries' files.
@Suite(.timeLimit(.minutes(15))) struct LibraryFileTests {
    private static let libraries = [Library.libaio, .posixaio]

    @Test(arguments: libraries)
    func theyAreSmall(_ library: Library) async throws {
        let path = try await library.path()
        if try contains(path, Self.symbolSection) {
            try Test.cancel("\(skipped("a debug build is tested, which has symbols and checks"))")
        }
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        let size = try #require(attributes[.size] as? Int)
        #expect(size <= 300_000)
    }

    /// Otherwise the tests of the debug build would prove nothing, or programs would pay for the checks.
    @Test(arguments: libraries)
    func aDebugBuildHasAssertionsAndTheOtherHasNone(_ library: Library) async throws {
        let path = try await library.path()
        let message = "the thread does not have the lock"
        #expect(try contains(path, message) == contains(path, Self.symbolSection))
    }

    /// Programs cannot be made to fail by a variable of their environment, and pay for no plans of faults.
    @Test(arguments: libraries)
    func aDebugBuildTakesFaultsAndTheOtherDoesNot(_ library: Library) async throws {
        let path = try await library.path()
        #expect(try contains(path, "AIO_FAULTS") == contains(path, Self.symbolSection))
    }

    /// Which `Scripts/build-dropins debug` leaves in the file.
    private static let symbolSection = ".symtab"

    private func contains(_ path: String, _ text: String) throws -> Bool {
        try Data(contentsOf: URL(filePath: path)).range(of: Data(text.utf8)) != nil
    }

    @Test(arguments: libraries)
    func theDynamicLinkerSeesNamesOfCAlone(_ library: Library) async throws {
        guard let tool = Environment.path(ofTool: "nm") else {
            try Test.cancel("\(skipped("no nm is installed"))")
        }
        let outcome = try await Command([tool, "-D", "--defined-only", try await library.path()]).run()
        try #require(outcome.succeeded, "\(outcome.errors)")
        let names = outcome.output.split(separator: "\n").compactMap { $0.split(separator: " ").last }
        #expect(names.contains { $0.hasPrefix("io_submit") || $0 == "aio_read" })
        let name = /[A-Za-z_][A-Za-z_0-9.]*(@@?LIBAIO_0\.[145])?/
        #expect(names.filter { $0.wholeMatch(of: name) == nil } == [])
    }

    @Test(arguments: libraries)
    func theyNeedLibcAlone(_ library: Library) async throws {
        guard let tool = Environment.path(ofTool: "readelf") else {
            try Test.cancel("\(skipped("no readelf is installed"))")
        }
        let outcome = try await Command([tool, "-d", try await library.path()]).run()
        let needed = outcome.output.split(separator: "\n").filter { $0.contains("(NEEDED)") }
        #expect(needed.count == 1)
        #expect(needed.first?.contains("[libc.so.6]") == true)
    }
}
