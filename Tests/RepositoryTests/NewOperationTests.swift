import Foundation
import Testing

/// The compiler names every place that has to handle a new operation.
@Suite struct NewOperationTests {
    @Test func theCompilerNamesEveryPlaceThatHasToKnowANewOperation() throws {
        let errors = try Self.errorsWithANewCase(in: "Operation.swift", before: "    case nop\n")
        #expect(errors.count == Self.placesOfAnOperation.count)
        #expect(Set(errors) == Set(Self.placesOfAnOperation))
    }

    @Test func theCompilerNamesEveryPlaceThatHasToKnowANewCallOnSockets() throws {
        let errors = try Self.errorsWithANewCase(in: "SocketCall.swift", before: "    case create(")
        #expect(Set(errors) == Set(Self.placesOfASocketCall))
    }

    /// The row in the traits, the same operation on other descriptors, blocking execution, and the result of an
    /// attempt.
    private static let placesOfAnOperation = [
        "BlockingExecution.swift", "OperationOnOther.swift", "OperationOnOther.swift", "OperationTraits.swift",
        "WaitingAttempt.swift",
    ]

    private static let placesOfASocketCall = [
        "OperationClasses.swift", "OperationOnOther.swift", "OperationTraits.swift", "SocketAttempt.swift",
        "SocketEncoding.swift",
    ]

    /// The files in which a `switch` is no longer exhaustive, once per `switch`.
    private static func errorsWithANewCase(in file: String, before marker: String) throws -> [String] {
        let manager = FileManager.default
        let copy = manager.temporaryDirectory.appending(path: "aio-new-operation-\(UUID().uuidString)")
        try manager.createDirectory(at: copy, withIntermediateDirectories: false)
        defer { try? manager.removeItem(at: copy) }
        try manager.copyItem(atPath: "\(SourceTree.root)/Sources/AIOCore", toPath: "\(copy.path)/AIOCore")
        let path = "\(copy.path)/AIOCore/Values/\(file)"
        let text = try String(contentsOfFile: path, encoding: .utf8)
        try #require(text.contains(marker))
        let changed = text.replacing(marker, with: "    case newOperation(Descriptor)\n\(marker)", maxReplacements: 1)
        try changed.write(toFile: path, atomically: true, encoding: .utf8)
        var core = FloorTests.core
        core.folder = "\(copy.path)/AIOCore"
        let errors = try core.errors(compiling: core.floors[...], copy.path)
        return errors.split(separator: "\n").filter { $0.contains("must be exhaustive") && $0.hasPrefix("/") }
            .compactMap { $0.split(separator: ":").first?.split(separator: "/").last.map(String.init) }.sorted()
    }
}
