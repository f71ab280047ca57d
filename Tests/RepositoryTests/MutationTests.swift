import Foundation
import Testing

/// The list of mutants that change nothing: `Scripts/mutation/equivalent`.
@Suite struct MutationTests {
    /// A line whose original has been changed would excuse a mutant that nobody has judged.
    @Test func whatIsListedAsEquivalentIsInTheSources() throws {
        let list = try String(contentsOfFile: "\(SourceTree.root)/Scripts/mutation/equivalent", encoding: .utf8)
        for line in list.split(separator: "\n") where !line.hasPrefix("#") {
            let fields = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            try #require(fields.count == 5, "\(line)")
            #expect(!fields[4].isEmpty, "no reason: \(line)")
            let source = try String(contentsOfFile: "\(SourceTree.root)/\(fields[0])", encoding: .utf8)
            #expect(Self.onOneLine(source).contains(fields[2]), "\(fields[0]) does not have: \(fields[2])")
        }
    }

    /// The list has originals without comments and line breaks.
    private static func onOneLine(_ source: String) -> String {
        source.replacing(#/\/\/[^\n]*/#, with: "").split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }
}
