internal import AIOCore

/// What happened in a simulation, in order: a hash that two runs of one seed are compared by, and on request the lines.
package final class Trace {
    let seed: UInt64
    /// FNV-1a over all lines.
    package private(set) var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    package private(set) var count = 0
    /// nil unless lines are kept.
    package private(set) var lines: [String]?

    init(seed: UInt64) { self.seed = seed }

    package func keepLines() { lines = lines ?? [] }

    /// Adds a line: the time, the host, and what happened. It must not contain addresses of memory.
    func note(_ time: Nanoseconds, _ host: String, _ what: String) {
        count += 1
        add(time)
        for byte in host.utf8 { add(byte) }
        for byte in what.utf8 { add(byte) }
        lines?.append("\(Self.seconds(time)) \(host): \(what)")
    }

    private func add(_ byte: UInt8) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }

    private func add(_ time: Nanoseconds) {
        withUnsafeBytes(of: UInt64(time).littleEndian) { for byte in $0 { add(byte) } }
    }

    private static func seconds(_ time: Nanoseconds) -> String {
        let fraction = String(time % 1_000_000_000)
        return "\(time / 1_000_000_000).\(String(repeating: "0", count: 9 - fraction.utf8.count))\(fraction)"
    }
}
