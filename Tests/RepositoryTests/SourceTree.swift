import Foundation

/// A text file of the repository.
struct SourceFile: Sendable {
    /// Relative to the repository's root.
    let path: String
    let text: String

    var isSwift: Bool { path.hasSuffix(".swift") }
    /// The target that the file belongs to.
    var module: String { path.split(separator: "/").dropFirst().first.map(String.init) ?? "" }
    /// Whether the file is no test.
    var isSource: Bool { ["Sources/", "Command/Sources/", "DropIns/Sources/"].contains(where: path.hasPrefix) }
    var isTest: Bool { path.hasPrefix("Tests/") || path.hasPrefix("Command/Tests/") }
    var isLibrary: Bool { path.hasPrefix("Sources/AIO") && isSwift }
    var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }
}

/// The files under the repository's root, which is found from the location of this file.
enum SourceTree {
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().standardizedFileURL.path

    static func files(under folders: [String], withExtensions extensions: Set<String>) -> [SourceFile] {
        folders.flatMap { folder -> [SourceFile] in
            let paths = FileManager.default.enumerator(atPath: "\(root)/\(folder)")?.compactMap { $0 as? String } ?? []
            return paths.sorted().compactMap { path in
                guard extensions.contains((path as NSString).pathExtension), !path.contains(".build") else {
                    return nil
                }
                return file("\(folder)/\(path)")
            }
        }
    }

    /// A file, by its path below the root.
    static func file(_ path: String) -> SourceFile? {
        guard let text = try? String(contentsOfFile: "\(root)/\(path)", encoding: .utf8) else { return nil }
        return SourceFile(path: path, text: text)
    }
}
