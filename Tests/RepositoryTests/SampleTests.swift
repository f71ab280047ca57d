import Foundation
import Testing

/// The samples of the documentation compile as they stand, without a warning.
@Suite struct SampleTests {
    /// Of the README, those that are no part of a manifest.
    static let samples =
        SourceTree.files(under: ["Sources/AIO/AIO.docc", "Documentation"], withExtensions: ["md"]).flatMap(Sample.all)
        + readme.filter { $0.text.contains("import AIO\n") }
    private static let readme = SourceTree.file("README.md").map(Sample.all) ?? []

    @Test func everySampleCompiles() throws {
        #expect(try Self.messages(compiling: Self.samples) == "")
    }

    @Test func theSamplesAreFound() {
        let files = Set(Self.samples.map(\.file))
        #expect(files.contains("README.md") && files.contains("Documentation/Names.md"))
        #expect(files.contains("Sources/AIO/AIO.docc/Streams.md"))
        #expect(Self.samples.count > 50)
    }

    /// Without this test the other could pass because nothing is compiled.
    @Test func aWrongSampleIsFoundWithItsLine() throws {
        let page = SourceFile(path: "Page.md", text: "Text.\n\n```swift\nimport AIOCore\n\nlet file = File()\n```\n")
        let messages = try Self.messages(compiling: Sample.all(in: page))
        #expect(messages.contains("Page.md:6:"))
    }

    /// The compiler's errors and warnings for these samples, over the modules that were built with the tests.
    private static func messages(compiling samples: [Sample]) throws -> String {
        let manager = FileManager.default
        let folder = manager.temporaryDirectory.appending(path: "aio-samples-\(UUID().uuidString)")
        try manager.createDirectory(at: folder, withIntermediateDirectories: false)
        defer { try? manager.removeItem(at: folder) }
        var paths: [String] = []
        for (number, sample) in samples.enumerated() {
            let path = folder.appending(path: "sample\(number).swift")
            try sample.program(number).write(to: path, atomically: false, encoding: .utf8)
            paths.append(path.path)
        }
        let tests = URL(filePath: try manager.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
        let modules = tests.deletingLastPathComponent().appending(path: "Modules").path
        try #require(manager.fileExists(atPath: "\(modules)/AIO.swiftmodule"))
        let compiler = Process()
        let output = Pipe()
        compiler.executableURL = URL(filePath: "/usr/bin/env")
        compiler.arguments =
            ["swiftc", "-typecheck", "-whole-module-optimization", "-swift-version", "6", "-parse-as-library"]
            + ["-module-name", "Samples", "-I", modules]
            + ["CKernel", "CSimulation/include"].flatMap {
                ["-Xcc", "-fmodule-map-file=\(SourceTree.root)/Sources/\($0)/module.modulemap"]
            } + paths
        compiler.standardError = output
        try compiler.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        compiler.waitUntilExit()
        let lines = text.split(separator: "\n").filter { $0.contains("error: ") || $0.contains("warning: ") }
        return compiler.terminationStatus == 0 || !lines.isEmpty ? lines.joined(separator: "\n") : text
    }
}

/// A block of Swift in a page.
struct Sample: Sendable {
    let file: String
    /// The number of its first line.
    let line: Int
    private(set) var lines: [Substring] = []

    var text: String { lines.joined(separator: "\n") }

    static func all(in file: SourceFile) -> [Sample] {
        var samples: [Sample] = []
        var isOpen = false
        for (index, text) in file.lines.enumerated() {
            if !isOpen, text == "```swift" {
                samples.append(Sample(file: file.path, line: index + 2))
                isOpen = true
            } else if text.hasPrefix("```") {
                isOpen = false
            } else if isOpen {
                samples[samples.count - 1].lines.append(text)
            }
        }
        return samples
    }

    /// A source file with the sample as the body of an async function that may throw.
    func program(_ number: Int) -> String {
        let isImport = { (line: Substring) in line.hasPrefix("import ") }
        var program = ["import AIO"] + lines.filter(isImport) + ["func sample\(number)() async throws {"]
        // Messages name the place in the page.
        program.append("#sourceLocation(file: \"\(file)\", line: \(line))")
        program += lines.map { isImport($0) ? "" : $0 }
        program += ["#sourceLocation()", "}", ""]
        return program.joined(separator: "\n")
    }
}
