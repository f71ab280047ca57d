import Foundation
import Testing

/// Everything that the documents refer to exists in the code.
@Suite struct ArchitectureTests {
    /// The architecture document, and those that it links to.
    static let documents =
        ["ARCHITECTURE.md", "HACKING.md"]
        + SourceTree.files(under: ["Documentation"], withExtensions: ["md"]).map(\.path)
    static let sources = SourceTree.files(
        under: ["Sources", "DropIns/Sources", "Command/Sources"], withExtensions: ["swift", "c", "h"])
    static let tests = SourceTree.files(under: ["Tests", "Command/Tests"], withExtensions: ["swift", "c"])

    @Test(arguments: documents)
    func everyReferenceNamesADeclaration(_ document: String) throws {
        for reference in CodeReference.all(in: try text(of: document)) {
            if let fault = try reference.fault(in: Self.sources) { Issue.record("\(document): \(reference): \(fault)") }
        }
    }

    @Test(arguments: documents)
    func everyFileNamedAloneExists(_ document: String) throws {
        for file in CodeReference.files(in: try text(of: document)) where !isThere(file) {
            Issue.record("\(document): there is no \(file)")
        }
    }

    /// Without this test the others could pass because nothing is checked.
    @Test func theReferencesAreFound() throws {
        #expect(CodeReference.all(in: try text(of: "ARCHITECTURE.md")).count >= 15)
        #expect(CodeReference.files(in: try text(of: "Documentation/Decisions/Kernel.md")).count >= 3)
        let example = "`One.swift: first`, `Folder/Two+Three.swift: init`; not One.swift: second, nor `Four.swift`."
        let references = CodeReference.all(in: example).map(\.description)
        #expect(references == ["One.swift: first", "Folder/Two+Three.swift: init"])
        #expect(CodeReference.files(in: example) == ["Four.swift"])
        #expect(isThere("Kernel.swift") && !isThere("ernel.swift"))
    }

    @Test(arguments: [
        ("NoSuchFile.swift", "perform", CodeReference.Fault.noSuchFile),
        ("FileTransfer.swift", "noSuchFunction", .noSuchDeclaration),
        ("FileTransfer.swift", "perfor", .noSuchDeclaration),
        ("Transfer.swift", "init?", .noSuchDeclaration),
        ("Submission.swift", "accept", .severalFiles),
        ("File/FileTransfer.swift", "perform", nil),
        ("FileTransfer.swift", "perform", nil),
        ("PosixAIO/Submission.swift", "accept", nil),
        ("InFlightTable.swift", "State", nil),
        ("OperationClasses.swift", "isRelease", nil),
        ("Transfer.swift", "init", nil),
    ])
    func aWrongReferenceIsFound(_ file: String, _ name: String, _ fault: CodeReference.Fault?) throws {
        #expect(try CodeReference(file: file, name: name).fault(in: Self.sources) == fault)
    }

    private func isThere(_ file: String) -> Bool {
        (Self.sources + Self.tests).contains { "/\($0.path)".hasSuffix("/\(file)") }
    }

    private func text(of document: String) throws -> String {
        try String(contentsOfFile: "\(SourceTree.root)/\(document)", encoding: .utf8)
    }
}

/// A reference to a file and to a function or type in it, as documents write it: `FileTransfer.swift: perform`. Folders
/// precede the name of a file if several files have it.
struct CodeReference: Sendable, CustomStringConvertible {
    let file: String
    let name: String

    enum Fault: Sendable {
        case noSuchFile
        case severalFiles
        case noSuchDeclaration
    }

    var description: String { "\(file): \(name)" }

    static func all(in text: String) -> [CodeReference] {
        text.matches(of: #/`([\w+\/-]+\.swift):\s(\w+)`/#).map { match in
            CodeReference(file: String(match.output.1), name: String(match.output.2))
        }
    }

    /// References to files alone.
    static func files(in text: String) -> [String] {
        text.matches(of: #/`([\w+\/-]+\.(?:swift|c))`/#).map { String($0.output.1) }
    }

    /// nil if there is exactly one such file, and it declares the name.
    func fault(in sources: [SourceFile]) throws -> Fault? {
        let found = sources.filter { $0.path.hasSuffix("/\(file)") }
        guard let only = found.first else { return .noSuchFile }
        guard found.count == 1 else { return .severalFiles }
        return try declares(only.text) ? nil : .noSuchDeclaration
    }

    /// Whether the text declares a function, variable or type of this name, or, for `init`, an initializer.
    private func declares(_ text: String) throws -> Bool {
        let isWord = name.allSatisfy { $0.isLetter || $0.isNumber || $0 == "_" }
        guard isWord else { return false }
        // No two slashes precede it on its line: comments do not count.
        let keywords = "func|var|struct|class|enum|protocol|actor|typealias"
        let declaration = name == "init" ? #"\binit[?!]?\s*[(<]"# : #"\b(?:\#(keywords))\s+`?\#(name)\b"#
        let expression = try NSRegularExpression(
            pattern: "^(?:(?!//).)*?\(declaration)", options: .anchorsMatchLines)
        return expression.firstMatch(in: text, range: NSRange(text.startIndex..., in: text)) != nil
    }
}
