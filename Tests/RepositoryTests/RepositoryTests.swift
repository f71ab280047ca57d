import Testing

@Suite struct RepositoryTests {
    static let files = SourceTree.files(
        under: [
            "Sources", "Tests", "Examples", "Command/Sources", "Command/Tests", "DropIns", "Bridges", "Benchmarks",
        ],
        withExtensions: ["swift", "h", "c"])
    /// Without the rules' own files, which quote violations.
    static let judged = files.filter { !$0.path.hasPrefix("Tests/RepositoryTests/") }

    /// Without this test the others could pass because nothing was checked.
    @Test func theFilesAreFound() {
        #expect(Self.judged.contains { $0.path == "Sources/AIOCore/Kernel/Kernel.swift" && $0.lines.count > 10 })
        #expect(Self.files.contains { $0.path == "Tests/RepositoryTests/RepositoryTests.swift" })
        #expect(Self.judged.count > 100)
    }

    @Test(arguments: Rule.all)
    func eachRuleTellsABrokenLineFromAKeptOne(_ rule: Rule) throws {
        #expect(try rule.violations(in: "first\n" + rule.broken + "\nthird\n") == [2])
        #expect(try rule.violations(in: rule.kept) == [])
        #expect(Self.judged.contains(where: rule.applies), "it is for no file")
    }

    @Test(arguments: [
        "usleep(5000);", "    if (is_early) { sleep(1); }", "(void)sleep(1);", "poll(NULL, 0, 10);",
        "Thread.sleep(forTimeInterval: 1)", "while Kernel.now() < end {}", "while monotonicNow() < end, isEarly { }",
        "while (seconds_now() < end) {}",
    ])
    func everyFormOfAWaitByTimeNeedsItsReason(_ line: String) throws {
        let rule = Rule.waitsOnConditions
        #expect(try rule.violations(in: line) == [1])
        #expect(try rule.violations(in: "\(line)  // By time: a reason.") == [])
        #expect(try rule.violations(in: "first\n    // By time: a reason, which\n    // is long.\n\(line)\nlast") == [])
        #expect(try rule.violations(in: "// By time: a reason.\nsomething else\n\(line)") == [3])
        #expect(try rule.violations(in: "// A comment.\n\(line)") == [2])
    }

    @Test(arguments: Rule.all)
    func everyLineKeepsTheRule(_ rule: Rule) throws {
        for file in Self.judged where rule.applies(file) {
            let lines = file.lines
            for number in try rule.violations(in: file.text) {
                Issue.record("\(file.path):\(number): \(rule.name): \(lines[number - 1])")
            }
        }
    }

    @Test func noFileIsLongerThanFiveHundredLines() {
        for file in Self.files where file.lines.count > 501 {
            Issue.record("\(file.path) has \(file.lines.count - 1) lines")
        }
    }

    @Test func noFileIsNamedForBeingUseful() {
        let names = ["Manager", "Helper", "Helpers", "Util", "Utils", "Utilities"]
        for file in Self.files where names.contains(where: { file.path.contains("\($0).") }) {
            Issue.record("\(file.path)")
        }
    }

    /// Each claim that the compiler does not check has its reason beside it.
    @Test func everyUncheckedConformanceHasItsReasonBelow() {
        for file in Self.judged where file.isSwift {
            let lines = file.lines
            for (index, line) in lines.enumerated() where line.contains("@unchecked Sendable") {
                if !lines[index...].prefix(4).contains(where: { $0.contains("// @unchecked: ") }) {
                    Issue.record("\(file.path):\(index + 1): no reason: \(line)")
                }
            }
        }
    }
}
