import AIO

extension String.StringInterpolation {
    /// Messages quote paths, so that no name can mislead.
    mutating func appendInterpolation(_ path: Path) { appendLiteral(path.quoted) }
}
