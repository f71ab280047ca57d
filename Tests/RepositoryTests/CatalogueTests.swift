import Foundation
import Testing

/// The documentation catalogue of AIO: its landing page has every public type, and every link leads somewhere.
///
/// DocC reports the same, but needs a symbol graph.
@Suite struct CatalogueTests {
    static let pages = CataloguePage.all(ofModule: "AIO")
    static let articles = pages.filter { $0.name != "AIO" }
    static let table = DocumentationTests.library
    /// The public types and functions that are no members.
    static let names = Set(table.declarations.filter { $0.isPublic && $0.path.count == 1 }.map { $0.path[0] })

    @Test(arguments: pages)
    func everySymbolLinkLeadsToOneSymbol(_ page: CataloguePage) {
        for (link, line) in page.symbolLinks {
            guard let fault = Self.table.fault(ofArticleLink: link) else { continue }
            Issue.record("\(page.file.path):\(line): ``\(link.text)``: \(fault)")
        }
    }

    @Test(arguments: pages)
    func everyArticleLinkLeadsToAnArticle(_ page: CataloguePage) {
        let names = Set(Self.articles.map(\.name))
        for (name, line) in page.articleLinks where !names.contains(name) {
            Issue.record("\(page.file.path):\(line): <doc:\(name)>")
        }
    }

    @Test func everyPublicTypeAndFunctionIsInOneTopic() throws {
        let topics = try Self.landingPage().topics
        for name in Self.names.sorted() {
            let count = topics.count { $0 == "``\(name)``" }
            #expect(count == 1, "\(name)")
        }
    }

    @Test func everyArticleIsInOneTopic() throws {
        let topics = try Self.landingPage().topics
        for article in Self.articles {
            let count = topics.count { $0 == "<doc:\(article.name)>" }
            #expect(count == 1, "\(article.name)")
        }
    }

    /// DocC finds no links to them.
    @Test func theLandingPageNamesWhatTheModuleExportsOfOthers() throws {
        let text = try Self.landingPage().file.text
        for name in SymbolTable.exports(of: "AIO") { #expect(text.contains("`\(name)`"), "\(name)") }
    }

    /// DocC keeps the symbol then, and drops the article.
    @Test(arguments: articles)
    func noArticleHasTheNameOfASymbol(_ article: CataloguePage) {
        #expect(!Self.names.contains { $0.lowercased() == article.name.lowercased() })
    }

    /// Without this test the others could pass because nothing is checked.
    @Test func pagesAndLinksAreFound() throws {
        #expect(try !Self.landingPage().topics.isEmpty)
        #expect(Self.articles.contains { $0.name == "Streams" && $0.articleLinks.isEmpty && $0.symbolLinks.count > 10 })
        #expect(Self.articles.contains { $0.name == "Network" && $0.articleLinks.contains { $0.name == "Streams" } })
        #expect(Self.names.contains("File") && Self.names.contains("throwingCancellationError(isolation:_:)"))
        #expect(!SymbolTable.exports(of: "AIO").isEmpty)
        #expect(Self.table.fault(ofArticleLink: SymbolLink("File/close()")) == nil)
        #expect(Self.table.fault(ofArticleLink: SymbolLink("close()")) == .noSuchSymbol)
    }

    private static func landingPage() throws -> CataloguePage { try #require(pages.first { $0.name == "AIO" }) }
}

/// A page of a documentation catalogue.
struct CataloguePage: Sendable, CustomTestStringConvertible {
    let file: SourceFile

    static func all(ofModule module: String) -> [CataloguePage] {
        SourceTree.files(under: ["Sources/\(module)/\(module).docc"], withExtensions: ["md"]).map(CataloguePage.init)
    }

    /// The name of the file, by which other pages link to an article.
    var name: String { URL(filePath: file.path).deletingPathExtension().lastPathComponent }
    var testDescription: String { name }

    /// The lines that are neither code nor a title, with their numbers.
    private var prose: [(text: Substring, line: Int)] {
        var isCode = false
        return file.lines.enumerated().compactMap { index, text in
            if text.hasPrefix("```") {
                isCode.toggle()
                return nil
            }
            return isCode || text.hasPrefix("#") ? nil : (text, index + 1)
        }
    }

    /// Names in two backticks.
    var symbolLinks: [(link: SymbolLink, line: Int)] {
        prose.flatMap { text, line in
            text.components(separatedBy: "``").enumerated().filter { $0.offset % 2 == 1 }.map {
                (SymbolLink($0.element), line)
            }
        }
    }

    var articleLinks: [(name: String, line: Int)] {
        prose.flatMap { text, line in text.matches(of: #/<doc:([^>]+)>/#).map { (String($0.output.1), line) } }
    }

    /// The entries of the lists under "Topics".
    var topics: [Substring] {
        let lines = file.lines
        guard let start = lines.firstIndex(of: "## Topics") else { return [] }
        return lines[start...].filter { $0.hasPrefix("- ") }.map { $0.dropFirst(2) }
    }
}
