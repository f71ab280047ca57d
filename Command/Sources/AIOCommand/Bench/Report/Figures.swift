/// Formats numbers for the tables.
enum Figures {
    /// Three significant digits below 100, whole microseconds above.
    static func microseconds(_ nanoseconds: Double) -> String {
        let value = nanoseconds / 1000
        return value < 9.995 ? decimal(value, 2) : value < 99.95 ? decimal(value, 1) : grouped(Int(value.rounded()))
    }

    static func microseconds(_ nanoseconds: UInt64) -> String { microseconds(Double(nanoseconds)) }

    /// Such as `1.25x`.
    static func ratio(_ value: Double) -> String { decimal(value, value < 9.995 ? 2 : 1) + "x" }

    static func decimal(_ value: Double, _ digits: Int) -> String {
        let scale = digits == 1 ? 10 : 100
        let scaled = Int((value * Double(scale)).rounded())
        let fraction = String(scaled % scale)
        return "\(scaled / scale)." + String(repeating: "0", count: digits - fraction.count) + fraction
    }

    /// With commas as thousands separators.
    static func grouped(_ value: Int) -> String {
        var digits = String(value)
        var position = digits.count - 3
        while position > 0 {
            digits.insert(",", at: digits.index(digits.startIndex, offsetBy: position))
            position -= 3
        }
        return digits
    }

    /// The middle value, or the mean of the two middle values; 0 for no values.
    static func median(_ values: [Double]) -> Double {
        let sorted = values.sorted()
        guard !sorted.isEmpty else { return 0 }
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }
}
