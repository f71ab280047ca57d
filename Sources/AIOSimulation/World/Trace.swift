internal import AIOCore

/// What happened in a simulation, in order: a hash that two runs of one seed are compared by, and on request the lines.
package final class Trace {
    let seed: UInt64
    /// FNV-1a over all lines and system calls.
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
        show(time, host, what)
    }

    /// Adds a system call, by its number and its result.
    func note(_ time: Nanoseconds, _ number: Int, _ result: Int) {
        count += 1
        add(time)
        add(UInt64(bitPattern: Int64(number)))
        add(UInt64(bitPattern: Int64(result)))
    }

    var keepsLines: Bool { lines != nil }

    /// Adds a line that the hash does not cover, if lines are kept.
    func show(_ time: Nanoseconds, _ host: String, _ what: @autoclosure () -> String) {
        if keepsLines { lines?.append("\(Self.seconds(time)) \(host): \(what())") }
    }

    private func add(_ byte: UInt8) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }

    /// A whole word in one step of the hash, which is enough to tell two runs apart.
    private func add(_ word: UInt64) { hash = (hash ^ word) &* 0x100_0000_01b3 }

    static func seconds(_ time: Nanoseconds) -> String {
        let fraction = String(time % 1_000_000_000)
        return "\(time / 1_000_000_000).\(String(repeating: "0", count: 9 - fraction.utf8.count))\(fraction)"
    }
}
