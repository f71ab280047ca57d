import Foundation
import Testing

/// Programs give the same results with the system's libaio and with ours.
@Suite(.serialized, .timeLimit(.minutes(15))) struct LibAIOTests {
    static let programs = ["contexts"].map { Program($0, .libaio) }

    @Test(arguments: Way.all)
    func theLibraryThatServesIsOurs(_ way: Way) async throws {
        let outcome = try await Program("which_library", .libaio).run(way)
        let ours = URL(filePath: try await Library.libaio.path()).resolvingSymlinksInPath().path
        #expect(outcome.output == "\(ours)\n", "\(outcome.errors)")
    }

    @Test(arguments: programs, Way.all)
    func resultsAreThoseOfTheSystemsLibrary(_ program: Program, _ way: Way) async throws {
        try await expectSame(program, way, better: Self.better)
    }

    /// `program: case/what`, and what is better there.
    static let better: [String: Better] = [:]
}
