import Foundation
import Testing

/// The documentation of the public API: all of it is there, and its links lead somewhere.
///
/// DocC knows better, but needs a symbol graph, which takes as long as a build. Links to what a type has from a
/// protocol are not found here; the link is then to the protocol's own.
@Suite struct DocumentationTests {
    static let core = SymbolTable("AIOCore")
    static let library = SymbolTable("AIO")
    static let tables = [core, library]

    @Test(arguments: tables)
    func everyLinkLeadsToOneSymbol(_ table: SymbolTable) {
        for declaration in table.declarations {
            for link in declaration.links {
                guard let fault = table.fault(of: link, in: declaration) else { continue }
                Issue.record("\(declaration.file):\(declaration.line): ``\(link.text)``: \(fault)")
            }
        }
    }

    @Test(arguments: tables)
    func everyPublicDeclarationIsDocumented(_ table: SymbolTable) {
        for declaration in table.declarations where declaration.needsComment {
            Issue.record("\(declaration.file):\(declaration.line): \(declaration.path.joined(separator: "."))")
        }
    }

    /// Without this test the others could pass because nothing is checked.
    @Test func declarationsAndLinksAreFound() {
        let table = Self.library
        let names = Set(table.declarations.map { $0.path.joined(separator: "/") })
        for name in [
            "File", "File/read(into:at:flags:deadline:)", "File/OpenOptions/direct", "IOError/Code/notFound",
            "SocketAddress/v6(_:port:scope:)", "Path/init(_:)", "Path//(_:_:)", "Deadline/<(_:_:)",
            "ReadableStream/read(into:deadline:)", "Change/Kind/movedTo(cookie:)",
            "withFile(_:_:options:permissions:runtime:_:)", "SocketOption/noDelay", "Signal/continue",
            "FileSystem/copy(_:to:options:progress:files:runtime:deadline:failure:)",
        ] { #expect(names.contains(name), "\(name)") }
        #expect(table.declarations.reduce(0) { $0 + $1.links.count } > 300)
        let isPublic = { (name: String) in table.declarations.contains { $0.path == [name] && $0.isPublic } }
        #expect(isPublic("File") && !isPublic("FileLease") && !isPublic("NameInDirectory"))
    }

    @Test(arguments: [
        ("close()", nil), ("File/close()", nil), ("IOError/Code/notFound", nil), ("OpenOptions/append", nil),
        ("read(into:at:flags:deadline:)-(IOBuffer,_,_,_)", nil),
        ("close", SymbolLink.Fault.noSuchSymbol), ("Nothing", .noSuchSymbol), ("File/Nothing", .noSuchSymbol),
        ("read(into:at:flags:deadline:)", .ambiguous), ("lease", .notPublic), ("Operation", .noSuchSymbol),
        ("TransferFlags/noWait", .noSuchSymbol),
    ])
    func aWrongLinkIsFound(_ link: String, _ fault: SymbolLink.Fault?) throws {
        let file = try #require(Self.library.declarations.first { $0.path == ["File", "close()"] })
        #expect(Self.library.fault(of: SymbolLink(link), in: file) == fault)
    }
}

/// The target of a link: names from a type down, with labels.
struct SymbolLink: Sendable {
    let text: String
    let path: [String]
    /// Whether the types of parameters, or of the result, tell overloads apart: `write(_:)-([UInt8])`.
    let isExact: Bool

    enum Fault: Sendable {
        case noSuchSymbol
        /// Several declarations have the name.
        case ambiguous
        /// The documentation of a public symbol links to one that is not.
        case notPublic
    }

    init(_ text: String) {
        self.text = text
        let name = text.prefix { $0 != "-" }
        isExact = name.count < text.count
        path = name.split(separator: "/").map(String.init)
    }
}

/// The declarations of a module, without those of other modules that it exports: DocC finds no links to them.
struct SymbolTable: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let declarations: [Declaration]
    private let found: [[String]: [Declaration]]

    init(_ module: String) {
        testDescription = module
        declarations = Declaration.all(inModule: module)
        found = Dictionary(grouping: declarations, by: \.path)
    }

    /// The names of the types of other modules that a module exports.
    static func exports(of module: String) -> [String] {
        SourceTree.files(under: ["Sources/\(module)"], withExtensions: ["swift"])
            .filter { $0.text.contains("@_exported") }
            .flatMap { $0.text.matches(of: #/@_exported public import \w+ \w+\.(\w+)/#).map { String($0.output.1) } }
    }

    /// nil if the link leads from the comment of `declaration` to one symbol: a member of it, or of what is around it.
    func fault(of link: SymbolLink, in declaration: Declaration) -> SymbolLink.Fault? {
        fault(of: link, from: declaration.path, seesAll: !declaration.isPublic)
    }

    /// The same for a link in an article, which is at the level of the module.
    func fault(ofArticleLink link: SymbolLink) -> SymbolLink.Fault? { fault(of: link, from: [], seesAll: false) }

    private func fault(of link: SymbolLink, from path: [String], seesAll: Bool) -> SymbolLink.Fault? {
        for count in stride(from: path.count, through: 0, by: -1) {
            guard let targets = found[path[..<count] + link.path] else { continue }
            let visible = targets.filter { $0.isPublic || seesAll }
            guard !visible.isEmpty else { return .notPublic }
            return visible.count > 1 && !link.isExact ? .ambiguous : nil
        }
        return .noSuchSymbol
    }
}

extension Declaration {
    /// Requirements of Swift's own protocols, whose documentation says it all.
    private static let known: Set = [
        "rawValue", "init(rawValue:)", "Element", "Failure", "makeAsyncIterator()", "next()", "next(isolation:)",
    ]

    var needsComment: Bool {
        guard isPublic, comment.isEmpty, !isOverride, let name = path.last else { return false }
        // Each case of this type is named after its system call.
        return !Self.known.contains(name) && !path.starts(with: ["BlockingCall", "Kind"])
    }
}
