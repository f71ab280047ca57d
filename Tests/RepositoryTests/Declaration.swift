import Foundation

/// A declaration at the level of a file or of a type's members, found in the source text.
struct Declaration: Sendable {
    /// The names of the types around it and its own, which has the labels of its parameters, as in a symbol link.
    let path: [String]
    let isPublic: Bool
    /// Whether it is documented where it overrides.
    let isOverride: Bool
    /// The lines of its comment, without slashes.
    let comment: [Substring]
    let file: String
    let line: Int

    /// The links in the comment: names in two backticks.
    var links: [SymbolLink] {
        comment.flatMap { line in
            line.components(separatedBy: "``").enumerated().filter { $0.offset % 2 == 1 }.map { SymbolLink($0.element) }
        }
    }

    /// All declarations of a module.
    static func all(inModule module: String) -> [Declaration] {
        SourceTree.files(under: ["Sources/\(module)"], withExtensions: ["swift"]).flatMap { file in
            var reader = DeclarationReader(file)
            return reader.read()
        }
    }
}

/// Reads declarations line by line. It relies on the layout of `swift format`: a declaration begins a line, and what it
/// contains is between braces.
struct DeclarationReader {
    private struct Scope {
        var path: [String]
        /// Whether members can be public.
        var isPublic: Bool
        /// Whether members need not say `public`: requirements of a protocol, cases.
        var isProtocol: Bool
        /// The number of open braces within it.
        var depth: Int
    }

    // Properties, since a literal is parsed each time that it is evaluated.
    private let string = #/"(?:\\.|[^"\\])*"/#
    private let trailing = #/\s*//.*$/#
    private let declaration =
        #/
        ^(?!.*\bimport\b)
        (?<modifiers>(?:@?\w+(?:\([\w:,\s]*\))?\s+)*?)
        (?<keyword>func|var|let|init|case|struct|class|enum|protocol|extension|typealias)\b
        (?<rest>.*)$
        /#

    private let file: SourceFile
    private var scopes: [Scope] = []
    private var depth = 0
    private var comment: [Substring] = []
    private var found: [Declaration] = []

    init(_ file: SourceFile) { self.file = file }

    mutating func read() -> [Declaration] {
        let lines = file.lines
        var index = 0
        while index < lines.count {
            let line = lines[index].drop { $0 == " " }
            index += 1
            if !isAtMembers, !line.utf8.contains(where: { $0 == UInt8(ascii: "{") || $0 == UInt8(ascii: "}") }) {
                // In a body; most lines are.
                continue
            } else if line.hasPrefix("///") {
                comment.append(line.dropFirst(3))
            } else if line.hasPrefix("@"), Self.keyword(of: line) == nil {
                // An attribute on a line of its own is between a declaration and its comment.
                continue
            } else {
                let number = index
                var text = code(line)
                // Parameters, and the protocols of a type, may go on in the next lines.
                while isAtMembers, Self.isUnfinished(text), index < lines.count {
                    text += " " + code(lines[index].drop { $0 == " " })
                    index += 1
                }
                take(text, number)
                comment = []
            }
        }
        return found
    }

    private var isAtMembers: Bool { depth == scopes.last?.depth ?? 0 }

    private static func isUnfinished(_ text: String) -> Bool {
        let bytes = text.utf8
        if bytes.count(where: { $0 == UInt8(ascii: "(") }) > bytes.count(where: { $0 == UInt8(ascii: ")") }) {
            return true
        }
        return keyword(of: text[...]).map(types.contains) ?? false && !bytes.contains(UInt8(ascii: "{"))
    }

    private static let types: Set<Substring> = ["struct", "class", "enum", "protocol", "extension"]
    private static let keywords = types.union(["func", "var", "let", "init", "case", "typealias"])

    /// The first word that says what is declared.
    private static func keyword(of line: Substring) -> Substring? {
        line.split(separator: " ", maxSplits: 8).lazy.map { $0.prefix(while: isIdentifier) }.first(
            where: keywords.contains)
    }

    /// A line without strings and comments.
    private func code(_ line: Substring) -> String {
        // Most lines have neither, and the expressions take their time.
        var text = String(line)
        if text.utf8.contains(UInt8(ascii: "\"")) { text.replace(string, with: "") }
        if text.utf8.contains(UInt8(ascii: "/")) { text.replace(trailing, with: "") }
        return text
    }

    private mutating func take(_ text: String, _ line: Int) {
        if isAtMembers { declare(text, line) }
        depth += text.utf8.count { $0 == UInt8(ascii: "{") } - text.utf8.count { $0 == UInt8(ascii: "}") }
        while let last = scopes.last, depth < last.depth { scopes.removeLast() }
    }

    private mutating func declare(_ text: String, _ line: Int) {
        guard Self.keyword(of: text[...]) != nil, let match = text.firstMatch(of: declaration) else { return }
        let (keyword, rest) = (match.keyword, match.rest.drop { $0 == " " })
        let modifiers = match.modifiers.split(separator: " ")
        let scope = scopes.last ?? Scope(path: [], isPublic: true, isProtocol: false, depth: 0)
        // What is for certain modules alone is not documented.
        let isOpen =
            modifiers.contains { ["public", "open"].contains($0) } && !modifiers.contains { $0.hasPrefix("@_spi") }
        let isVisible = scope.isPublic && (isOpen || scope.isProtocol || keyword == "case")
        for name in Self.names(keyword, rest) {
            let path = scope.path + name
            if Self.types.contains(keyword), text.hasSuffix("{") {
                let isPublic = keyword == "extension" || isVisible
                let isProtocol = keyword == "protocol"
                scopes.append(Scope(path: path, isPublic: isPublic, isProtocol: isProtocol, depth: depth + 1))
            }
            guard keyword != "extension" else { continue }
            found.append(
                Declaration(
                    path: path, isPublic: isVisible, isOverride: modifiers.contains("override"), comment: comment,
                    file: file.path, line: line))
        }
    }

    /// The names that a declaration introduces: several for `case one, two`.
    private static func names(_ keyword: Substring, _ rest: Substring) -> [[String]] {
        switch keyword {
        case "func", "init":
            let name = keyword == "init" ? "init" : identifier(rest)
            // An operator's parameters have no labels.
            let isOperator = name.allSatisfy { !isIdentifier($0) }
            return [[name + (isOperator ? labels(rest).replacing(#/\w+:/#, with: "_:") : labels(rest))]]
        case "case":
            return split(rest).map { piece in
                [identifier(piece) + (piece.contains("(") ? labels(piece) : "")]
            }
        default:
            let name = rest.prefix { isIdentifier($0) || $0 == "." }
            return [name.split(separator: ".").map { $0.filter { $0 != "`" } }]
        }
    }

    /// A name, or an operator, at the beginning of a text.
    private static func identifier(_ text: Substring) -> String {
        guard let first = text.first, !isIdentifier(first) else {
            return text.prefix(while: isIdentifier).filter { $0 != "`" }
        }
        return String(text.prefix { $0 != " " && $0 != "(" })
    }

    private static func isIdentifier(_ character: Character) -> Bool {
        character.isLetter || character.isNumber || character == "_" || character == "`"
    }

    /// The labels of the first parameter list: `(_:at:)`.
    private static func labels(_ text: Substring) -> String {
        guard let open = text.firstIndex(of: "(") else { return "" }
        var depth = 0
        let inner = text[open...].dropFirst().prefix { character in
            depth += character == "(" ? 1 : character == ")" ? -1 : 0
            return depth >= 0
        }
        let labels = split(inner).map { parameter -> String in
            guard let colon = parameter.firstIndex(of: ":") else { return "_:" }
            let label = parameter[..<colon].split(separator: " ").first { !$0.hasPrefix("@") } ?? "_"
            return "\(label):"
        }
        return "(" + labels.joined() + ")"
    }

    /// The pieces between commas that are in no brackets.
    private static func split(_ text: Substring) -> [Substring] {
        var depth = 0
        var angles = 0
        var pieces: [Substring] = []
        var start = text.startIndex
        var before: Character = " "
        for index in text.indices {
            switch text[index] {
            case "(", "[", "{": depth += 1
            case ")", "]", "}": depth -= 1
            // Not an operator, nor an arrow.
            case "<" where isIdentifier(before): angles += 1
            case ">" where angles > 0 && before != "-": angles -= 1
            case "," where depth == 0 && angles == 0:
                pieces.append(text[start..<index])
                start = text.index(after: index)
            default: break
            }
            before = text[index]
        }
        pieces.append(text[start...])
        return pieces.map { $0.drop { $0 == " " } }.filter { !$0.isEmpty }
    }
}
