import AIOCore
import Foundation

/// The load that other programs put on the processors. It slows the contestants down, and not equally.
struct MachineLoad {
    /// The share of all processors' time, 0 to 1, in use just before the measurement; nil if the kernel does not report
    /// it.
    let others: Double?
    private let start: Ticks?

    /// Larger shares get a note.
    private static let noteworthyOthers = 0.1
    private static let noteworthyStolen = 0.01

    /// Starts the measurement. Blocks for 250 ms to sample the load.
    init() {
        let before = Ticks()
        usleep(250_000)
        start = Ticks()
        others = start.flatMap { $0.share(since: before, \.busy) }
    }

    /// The share, 0 to 1, that a hypervisor gave to other machines since the start; nil if the kernel does not report
    /// it.
    func stolen() -> Double? { Ticks()?.share(since: start, \.stolen) }

    /// Notes for the reader of figures that were taken under this load.
    static func notes(others: Double?, stolen: Double?) -> [String] {
        var notes: [String] = []
        if let others, others > noteworthyOthers {
            notes.append(
                "just before the measurement, other programs used \(Int(others * 100)) % of the processors: "
                    + "expect uneven figures"
            )
        }
        if let stolen, stolen > noteworthyStolen {
            notes.append(
                "during the measurement, a hypervisor took \(Figures.decimal(stolen * 100, 1)) % of the processors' "
                    + "time: expect a high p99"
            )
        }
        return notes
    }

    /// The first line of /proc/stat. See proc_stat(5).
    private struct Ticks {
        var busy = 0
        var stolen = 0
        var total = 0

        init?() {
            guard let text = try? String(contentsOfFile: "/proc/stat", encoding: .utf8),
                let line = text.split(separator: "\n").first
            else { return nil }
            // The columns are user, nice, system, idle, iowait, irq, softirq and steal. user and nice include guest
            // time.
            let values = line.split(separator: " ").dropFirst().prefix(8).compactMap { Int($0) }
            guard values.count == 8 else { return nil }
            total = values.reduce(0, +)
            busy = total - values[3] - values[4]
            stolen = values[7]
        }

        func share(since start: Ticks?, _ part: (Ticks) -> Int) -> Double? {
            guard let start, total > start.total else { return nil }
            return Double(part(self) - part(start)) / Double(total - start.total)
        }
    }
}
