/// What a Range field asks of a file. RFC 9110, 14.
enum ByteRanges: Equatable {
    /// There is no such field, or it is to be passed over: then the whole file is sent.
    case whole
    /// One or more, in the order asked for, none of them empty.
    case parts([Range<Int64>])
    /// None of them is in the file.
    case unsatisfiable

    /// More parts than this are answered with the whole file, as are parts that together are more than it: they would cost
    /// more than it does.
    static var partsMax: Int { 16 }

    init(_ field: String?, size: Int64) {
        guard let field, let parts = Self.specifications(field) else {
            self = .whole
            return
        }
        var ranges: [Range<Int64>] = []
        for part in parts {
            // Nothing can be said of a part of nothing, but the suffix of an empty file is all of it.
            if size == 0, part.isSuffix, part.number > 0 {
                self = .whole
                return
            }
            if let range = part.range(size) { ranges.append(range) }
        }
        // Each may be as long as a number can say.
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
        /// The first byte, or how many of the last.
        var number: Int64
        var last: Int64?

        func range(_ size: Int64) -> Range<Int64>? {
            if isSuffix { return number > 0 && size > 0 ? max(0, size - number)..<size : nil }
            guard number < size else { return nil }
            return number..<(last.map { min($0, size - 1) } ?? size - 1) + 1
        }
    }

    /// nil if the field is to be passed over: another unit, or no valid list.
    private static func specifications(_ field: String) -> [Specification]? {
        guard let equals = field.utf8.firstIndex(of: UInt8(ascii: "=")),
            field[..<equals].lowercased() == "bytes"
        else { return nil }
        var specifications: [Specification] = []
        for part in field[field.index(after: equals)...].split(separator: ",") {
            let part = part.trimmingBlanks
            // Lists may have empty members.
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

    /// Digits alone; numbers too large to count are as large as can be.
    private static func number(_ text: Substring) -> Int64? {
        guard !text.isEmpty, text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else {
            return nil
        }
        return Int64(text) ?? .max
    }
}

extension StringProtocol {
    /// Without the spaces and tabs at its ends.
    var trimmingBlanks: SubSequence {
        let isBlank = { (character: Character) in character == " " || character == "\t" }
        let start = drop(while: isBlank)
        return start[..<(start.lastIndex { !isBlank($0) }.map { start.index(after: $0) } ?? start.startIndex)]
    }
}
