/// The meaning of a Range field for a file. RFC 9110, section 14.
enum ByteRanges: Equatable {
    /// The field is absent or ignored: the whole file is sent.
    case whole
    /// One or more non-empty ranges, in the order of the field.
    case parts([Range<Int64>])
    /// No range overlaps the file.
    case unsatisfiable

    /// The whole file is sent for more ranges than this, and for ranges that are larger than the file in total: either
    /// would cost more than the file.
    static var partsMax: Int { 16 }

    init(_ field: String?, size: Int64) {
        guard let field, let parts = Self.specifications(field) else {
            self = .whole
            return
        }
        var ranges: [Range<Int64>] = []
        for part in parts {
            // Every range of an empty file is unsatisfiable, except for a suffix, which selects all of it.
            if size == 0, part.isSuffix, part.number > 0 {
                self = .whole
                return
            }
            if let range = part.range(size) { ranges.append(range) }
        }
        // The sum can overflow: each range may be as long as the file.
        let total = ranges.reduce(UInt64(0)) { sum, range in
            let (next, overflows) = sum.addingReportingOverflow(UInt64(range.count))
            return overflows ? .max : next
        }
        if ranges.isEmpty {
            self = .unsatisfiable
        } else if parts.count > Self.partsMax || ranges.count > 1 && total > UInt64(clamping: size) {
            self = .whole
        } else {
            self = .parts(ranges)
        }
    }

    private struct Specification {
        var isSuffix: Bool
        /// The first byte, or the length of the suffix.
        var number: Int64
        var last: Int64?

        func range(_ size: Int64) -> Range<Int64>? {
            if isSuffix { return number > 0 && size > 0 ? max(0, size - number)..<size : nil }
            guard number < size else { return nil }
            return number..<(last.map { min($0, size - 1) } ?? size - 1) + 1
        }
    }

    /// nil if the field is ignored: another unit, or an invalid list.
    private static func specifications(_ field: String) -> [Specification]? {
        guard let equals = field.utf8.firstIndex(of: UInt8(ascii: "=")),
            field[..<equals].lowercased() == "bytes"
        else { return nil }
        var specifications: [Specification] = []
        for part in field[field.index(after: equals)...].split(separator: ",") {
            let part = part.trimmingBlanks
            // Lists may have empty elements (RFC 9110, section 5.6.1).
            if part.isEmpty { continue }
            guard specifications.count <= partsMax, let specification = specification(part) else { return nil }
            specifications.append(specification)
        }
        return specifications.isEmpty ? nil : specifications
    }

    private static func specification(_ text: Substring) -> Specification? {
        let ends = text.split(separator: "-", omittingEmptySubsequences: false)
        guard ends.count == 2 else { return nil }
        if ends[0].isEmpty {
            return number(ends[1]).map { Specification(isSuffix: true, number: $0, last: nil) }
        }
        guard let first = number(ends[0]) else { return nil }
        if ends[1].isEmpty { return Specification(isSuffix: false, number: first, last: nil) }
        guard let last = number(ends[1]), last >= first else { return nil }
        return Specification(isSuffix: false, number: first, last: last)
    }

    /// Digits only. A number that does not fit becomes the largest one.
    private static func number(_ text: Substring) -> Int64? {
        guard !text.isEmpty, text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else {
            return nil
        }
        return Int64(text) ?? .max
    }
}

extension StringProtocol {
    /// Without leading and trailing spaces and tabs.
    var trimmingBlanks: SubSequence {
        let isBlank = { (character: Character) in character == " " || character == "\t" }
        let start = drop(while: isBlank)
        return start[..<(start.lastIndex { !isBlank($0) }.map { start.index(after: $0) } ?? start.startIndex)]
    }
}
