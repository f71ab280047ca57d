import Foundation
import Testing

/// A pattern that no line of certain files may match.
struct Rule: Sendable, CustomTestStringConvertible {
    let name: String
    /// Whether the rule applies to this file.
    let applies: @Sendable (SourceFile) -> Bool
    /// A regular expression that matches a violation; if it begins with `code`, only outside of comments.
    let pattern: String
    /// A line that violates the rule, and a similar one that does not.
    let broken: String
    let kept: String
    /// A comment that begins with this on the line, or in the lines right above it, allows a violation and gives the
    /// reason.
    var exemption: String?

    var testDescription: String { name }

    /// Matches anything before a comment, that is, text without two slashes. A string that contains them hides the rest
    /// of its line.
    private static let code = "^(?:(?!//).)*?"
    /// Matches an import of a module that is not in the list that follows.
    private static let importBut =
        #"^\s*(?:@\w+\s+)*(?:(?:public|package|internal|private|fileprivate)\s+)?import\s+(?:(?:enum|struct)\s+)?+(?!"#

    static let all: [Rule] = [
        Rule(
            name: "only AIOCore/Kernel calls the kernel",
            // FaultInjection names the calls, and hands them on; AIOSimulation answers them.
            applies: {
                $0.isSource && $0.isSwift && !$0.path.hasPrefix("Sources/AIOCore/Kernel/")
                    && $0.module != "FaultInjection" && $0.module != "AIOSimulation"
            },
            pattern: #"ck_system_call|CK_NR_|\bsyscall\s*\("#,
            broken: "let result = ck_system_call_6(1, 0, 0, 0, 0, 0, 0)", kept: "let result = Kernel.fsync(1)"),
        Rule(
            name: "AIOCore is built on CKernel alone",
            applies: { $0.module == "AIOCore" },
            pattern: importBut + #"(?:CKernel|Synchronization)\b)\w+"#,
            broken: "internal import Glibc", kept: "public import CKernel"),
        Rule(
            name: "AIO does without Foundation",
            applies: { $0.module == "AIO" },
            pattern: importBut + #"(?:AIOCore|CKernel|Glibc|Musl|Synchronization)\b)\w+"#,
            broken: "import Foundation", kept: "internal import Glibc"),
        Rule(
            name: "the library does not end the program by force or on an error",
            applies: { $0.isLibrary },
            pattern: code + #"(?:\bfatalError\s*\(|\btry!|\bas!|\babort\s*\()"#,
            broken: "let file = try! open()", kept: "let file = try open()  // never try!"),
        Rule(
            name: "the library prints nothing",
            applies: { $0.isLibrary },
            pattern: code + #"\b(?:debugPrint|print|dump|NSLog)\s*\("#,
            broken: "print(result)", kept: "blueprint(result)"),
        Rule(
            name: "what is still to be done has a number",
            applies: { _ in true },
            pattern: #"\b(?:TODO|FIXME|XXX|HACK)\b(?!\(#[0-9]+\))"#,
            broken: "// FIXME: later", kept: "// FIXME(#12): later"),
        Rule(
            name: "a comment fits in 120 columns, which swift-format does not check",
            applies: { $0.isSwift },
            pattern: #"^(?=.{121})\s*//"#,
            broken: "    /// " + String(repeating: "word ", count: 23), kept: "    /// A short line."),
        Rule(
            name: "no name begins with an underscore",
            applies: { $0.isSwift },
            pattern: code + #"\b(?:func|var|let|struct|class|enum|case|protocol|actor|typealias)\s+`?_\w"#,
            broken: "private var _count = 0", kept: "let _ = count"),
        Rule(
            name: "names say what a thing is",
            applies: { $0.isSwift },
            pattern: code
                + #"\b(?:struct|class|enum|protocol|actor|typealias)\s+\w*(?:Manager|Helpers?|Utils?|Utilities)\b"#,
            broken: "struct FileManager {", kept: "struct FileLease {  // no struct Helper"),
        waitsOnConditions,
        Rule(
            name: "a skip that is recorded also cancels its case",
            applies: { $0.isTest && $0.isSwift },
            pattern: code + #"(?<!func )(?<!Test\.cancel\("\\\()\bskipped\s*\("#,
            broken: #"guard isRoot else { return _ = skipped("no root") }"#,
            kept: #"guard isRoot else { try Test.cancel("\(skipped("no root"))") }"#),
        Rule(
            name: "a case that is cancelled is recorded as skipped",
            applies: { $0.isTest && $0.isSwift },
            pattern: code + #"\bTest\.cancel\s*\((?!"\\\(skipped\()"#,
            broken: #"guard isRoot else { try Test.cancel("no root") }"#,
            kept: #"guard isRoot else { try Test.cancel("\(skipped("no root"))") }"#),
    ]

    private static let simulated = [
        "AIOSimulationTests", "CrashSimulation", "LogStoreTests", "SimulatedProgramTests", "InterleavingTests/StandIns",
    ]

    /// Finds calls that only let time pass, and empty loops on the clock. With a reason there may be waits that prove
    /// that nothing happens, and pauses between two looks at a condition.
    static let waitsOnConditions = Rule(
        name: "tests wait on conditions, never on time without a reason",
        // In a simulation time is virtual, and sleeps take none.
        applies: { file in file.isTest && !simulated.contains { file.path.hasPrefix("Tests/\($0)/") } },
        pattern: code + #"(?:\b(?:usleep|nanosleep|Task\.sleep|Thread\.sleep)\s*\(|(?:^|[^.\w])sleep\s*\("#
            + #"|\bpoll\s*\(\s*(?:NULL|nil)\b|\bwhile\b[^{\n]*(?:\.now\b|[nN]ow\(\))[^{\n]*\{\s*\})"#,
        broken: "try await Task.sleep(for: .seconds(1))", kept: "try await runtime.sleep(until: .soon)",
        exemption: "By time: ")

    /// The lines of `text` that break the rule, by number.
    func violations(in text: String) throws -> [Int] {
        let expression = try NSRegularExpression(pattern: pattern, options: .anchorsMatchLines)
        let whole = NSRange(text.startIndex..., in: text)
        let numbers = expression.matches(in: text, range: whole).compactMap { match in
            Range(match.range, in: text).map { lineNumber(of: $0.upperBound, in: text) }
        }
        guard let exemption else { return numbers }
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        return numbers.filter { number in
            let above = lines[..<(number - 1)].reversed().prefix { $0.drop { $0 == " " }.hasPrefix("//") }
            return !([lines[number - 1]] + above).contains { $0.contains("// \(exemption)") }
        }
    }

    private func lineNumber(of index: String.Index, in text: String) -> Int {
        text[..<index].utf8.reduce(1) { $1 == UInt8(ascii: "\n") ? $0 + 1 : $0 }
    }
}
