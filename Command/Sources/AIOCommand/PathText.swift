import AIO

extension String {
    /// A path or another text from outside, as messages show it: one line, quoted if it has spaces or invisible
    /// characters.
    var quoted: String { Path(self).quoted }
}

extension String.StringInterpolation {
    /// Messages quote paths, so that a name cannot forge output.
    mutating func appendInterpolation(_ path: Path) { appendLiteral(path.quoted) }
}
