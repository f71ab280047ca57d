import AIOCore
import CKernel
import Foundation

extension Report.Machine {
    /// The machine's line at the head of a table.
    var line: String { "Linux \(kernel), \(processorCount) x \(processor)" }

    static var current: Report.Machine {
        var name = ck_utsname()
        _ = Kernel.uname(&name)
        return Report.Machine(
            kernel: text(&name.release), architecture: text(&name.machine), processor: processorName(),
            processorCount: Kernel.processorCount())
    }

    /// Records the load at the end of a measurement.
    mutating func note(_ load: MachineLoad) {
        loadByOthers = load.others
        stolen = load.stolen()
    }

    var loadNotes: [String] { MachineLoad.notes(others: loadByOthers, stolen: stolen) }

    /// The C string in an imported character array (a tuple).
    private static func text<Tuple>(_ tuple: inout Tuple) -> String {
        withUnsafeBytes(of: &tuple) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    private static func processorName() -> String {
        let information = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
        for line in information.split(separator: "\n") where line.hasPrefix("model name") {
            return String(line.drop { $0 != ":" }.dropFirst().drop { $0 == " " })
        }
        return "unknown"
    }
}
