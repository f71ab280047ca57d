import AIOCore
import Foundation

/// How busy everybody else keeps the processors: what they take, the contestants do not get, and not equally.
enum MachineLoad {
    /// More than this share is worth a note.
    private static let noteworthy = 0.1

    /// What a reader of figures taken under this share should know.
    static func note(_ share: Double) -> String? {
        guard share > noteworthy else { return nil }
        return "just before the measurement others used \(Int(share * 100)) % of the processors: expect uneven figures"
    }

    /// The share of all processors' time, 0 to 1, in use while this command sleeps for `milliseconds`; nil if the
    /// kernel does not tell.
    static func share(duringMilliseconds milliseconds: Int) -> Double? {
        guard let before = Ticks() else { return nil }
        usleep(UInt32(milliseconds) * 1000)
        guard let after = Ticks(), after.total > before.total else { return nil }
        return Double(after.busy - before.busy) / Double(after.total - before.total)
    }

    /// The first line of /proc/stat. See proc_stat(5).
    private struct Ticks {
        var busy = 0
        var total = 0

        init?() {
            guard let text = try? String(contentsOfFile: "/proc/stat", encoding: .utf8),
                let line = text.split(separator: "\n").first
            else { return nil }
            // user, nice, system, idle, iowait, irq, softirq, steal; guests are in user and nice already.
            let values = line.split(separator: " ").dropFirst().prefix(8).compactMap { Int($0) }
            guard values.count == 8 else { return nil }
            total = values.reduce(0, +)
            busy = total - values[3] - values[4]
        }
    }
}
