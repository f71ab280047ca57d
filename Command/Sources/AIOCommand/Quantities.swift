import ArgumentParser

/// A number of bytes on the command line: `4096`, `4k`, `64KiB`, `1.5G`. Units are powers of 1024.
struct ByteCount: ExpressibleByArgument, Equatable, CustomStringConvertible {
    var bytes: Int

    init(_ bytes: Int) { self.bytes = bytes }

    init?(argument: String) {
        let text = argument.lowercased()
        let number = text.prefix { $0.isNumber || $0 == "." }
        let unit = text.dropFirst(number.count).trimmingSpaces()
        guard let value = Double(number), let factor = ByteCount.factors[unit] else { return nil }
        let bytes = value * factor
        guard bytes < 0x1p62, bytes.rounded(.down) == bytes else { return nil }
        self.bytes = Int(bytes)
    }

    private static let factors: [String: Double] = [
        "": 1, "b": 1, "k": 0x1p10, "kb": 0x1p10, "kib": 0x1p10, "m": 0x1p20, "mb": 0x1p20, "mib": 0x1p20,
        "g": 0x1p30, "gb": 0x1p30, "gib": 0x1p30, "t": 0x1p40, "tb": 0x1p40, "tib": 0x1p40,
    ]

    /// The largest unit that gives a whole number, such as `4 KiB`; with one decimal from 10 units on.
    var description: String {
        for (name, size) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] where bytes >= size {
            if bytes % size == 0 { return "\(bytes / size) \(name)" }
            if bytes >= 10 * size { return "\(bytes / size).\(bytes % size * 10 / size) \(name)" }
        }
        return bytes == 1 ? "1 byte" : "\(bytes) bytes"
    }

    var defaultValueDescription: String { description }
}

/// A length of time on the command line: `2`, `1.5s`, `500ms`, `1m`. A bare number is seconds.
struct TimeSpan: ExpressibleByArgument, CustomStringConvertible {
    var nanoseconds: UInt64

    init(milliseconds: Int) { nanoseconds = UInt64(milliseconds) * 1_000_000 }

    init?(argument: String) {
        let text = argument.lowercased()
        let number = text.prefix { $0.isNumber || $0 == "." }
        let factors = ["": 1e9, "s": 1e9, "ms": 1e6, "m": 60e9, "min": 60e9]
        guard let value = Double(number), let factor = factors[text.dropFirst(number.count).trimmingSpaces()],
            value * factor < 1e15
        else { return nil }
        nanoseconds = UInt64(value * factor)
    }

    var description: String {
        let milliseconds = nanoseconds / 1_000_000
        return milliseconds % 1000 == 0 ? "\(milliseconds / 1000) s" : "\(milliseconds) ms"
    }

    var defaultValueDescription: String { description }
}

extension Substring {
    fileprivate func trimmingSpaces() -> String { String(drop(while: { $0 == " " })) }
}
