/// Text from outside (paths, the environment) in messages, which are one line and must not affect a terminal.
extension String {
    /// The text itself; quoted and escaped if it is empty or contains spaces or invisible characters.
    var visible: String {
        guard isEmpty || unicodeScalars.contains(where: { $0 == " " || $0.isInvisible }) else { return self }
        return "\"" + unicodeScalars.map(\.escaped).joined() + "\""
    }
}

extension Unicode.Scalar {
    /// A control character, a line break, a change of writing direction, or an unusual space.
    fileprivate var isInvisible: Bool {
        switch properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator: true
        case .spaceSeparator: self != " "
        default: false
        }
    }

    fileprivate var escaped: String {
        if isInvisible { return "\\u{\(String(value, radix: 16))}" }
        return self == "\"" || self == "\\" ? "\\\(self)" : "\(self)"
    }
}
