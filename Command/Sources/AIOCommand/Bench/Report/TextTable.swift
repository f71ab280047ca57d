/// A plain-text table: the first column is left-aligned, the others right-aligned.
struct TextTable {
    private var lines: [[String]] = []

    mutating func add(_ cells: [String]) { lines.append(cells) }

    /// Columns are as wide as their widest cell, with two spaces between them.
    var text: String {
        var widths: [Int] = []
        for line in lines {
            for (column, cell) in line.enumerated() {
                if column == widths.count { widths.append(0) }
                widths[column] = max(widths[column], cell.count)
            }
        }
        return lines.map { TextTable.text($0, widths) + "\n" }.joined()
    }

    private static func text(_ cells: [String], _ widths: [Int]) -> String {
        var result = ""
        for (column, cell) in cells.enumerated() {
            let padding = String(repeating: " ", count: widths[column] - cell.count)
            result += column == 0 ? cell + padding : "  " + padding + cell
        }
        while result.last == " " { result.removeLast() }
        return result
    }
}
