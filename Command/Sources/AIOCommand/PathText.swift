import AIO

extension String.StringInterpolation {
    /// Messages quote paths, so that a name cannot forge output.
    mutating func appendInterpolation(_ path: Path) { appendLiteral(path.quoted) }
}
