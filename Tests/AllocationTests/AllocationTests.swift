import Foundation
import Testing

/// The steady state allocates nothing: counted in a process of its own, where nothing else allocates.
@Suite struct AllocationTests {
    struct Line: CustomStringConvertible, Sendable {
        var allocations: Int
        var operations: Int
        var path: String
        var description: String { "\(path): \(allocations) allocations for \(operations) operations" }
    }

    @Test func noPathAllocatesPerOperation() throws {
        let lines = try Self.count()
        try #require(lines.count { !$0.path.contains("elsewhere") } >= 8, "the counter printed \(lines)")
        try #require(lines[0].allocations >= 0 || isSanitized, "nothing was counted")
        // A task that no loop runs is resumed by libdispatch, which allocates; that is counted and not ours.
        for line in lines where !line.path.contains("elsewhere") {
            // A queue may grow once more than it did in the warm-up; per operation there is nothing.
            #expect(line.allocations * 100 < line.operations, "\(line)")
        }
    }

    /// Sanitizers bring allocators of their own, which the counter cannot stand in for.
    private var isSanitized: Bool { dlsym(nil, "__tsan_init") != nil || dlsym(nil, "__asan_init") != nil }

    private static func count() throws -> [Line] {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
            .deletingLastPathComponent().appendingPathComponent("allocation-counter")
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let data = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        return String(decoding: data, as: UTF8.self).split(separator: "\n").compactMap { text in
            let words = text.split(separator: " ", maxSplits: 2)
            guard words.count == 3, let allocations = Int(words[0]), let operations = Int(words[1]) else { return nil }
            return Line(allocations: allocations, operations: operations, path: String(words[2]))
        }
    }
}
