/// The Host field. RFC 9110, section 7.2, and RFC 3986, section 3.2.2.
enum HostField {
    /// Whether the value is a name, an address or empty, with an optional port. Anything else is refused: proxies
    /// before this server could read it as a different host.
    static func isValid(_ value: some StringProtocol) -> Bool {
        let bytes = Array(value.trimmingBlanks.utf8)
        var host = bytes[...]
        if host.first == UInt8(ascii: "[") {
            guard let end = host.firstIndex(of: UInt8(ascii: "]")) else { return false }
            let address = host[1..<end]
            guard !address.isEmpty, address.allSatisfy(isAddressByte) else { return false }
            host = host[(end + 1)...]
            guard host.isEmpty || host.first == UInt8(ascii: ":") else { return false }
            return isPort(host.dropFirst())
        }
        if let colon = host.lastIndex(of: UInt8(ascii: ":")) {
            guard isPort(host[(colon + 1)...]) else { return false }
            host = host[..<colon]
        }
        return isName(host)
    }

    private static func isPort(_ digits: ArraySlice<UInt8>) -> Bool {
        guard digits.allSatisfy(isDigit) else { return false }
        return digits.isEmpty || UInt16(String(decoding: digits, as: UTF8.self)) != nil
    }

    /// Unreserved characters, sub-delimiters and percent-encoded bytes.
    private static func isName(_ name: ArraySlice<UInt8>) -> Bool {
        var rest = name
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%") {
                guard rest.count >= 2, rest.prefix(2).allSatisfy({ PercentEncoding.digit($0) != nil }) else {
                    return false
                }
                rest = rest.dropFirst(2)
            } else if !isLetter(byte), !isDigit(byte), !"-._~!$&'()*+,;=".utf8.contains(byte) {
                return false
            }
        }
        return true
    }

    /// Allowed in a bracketed address: IPv6 with a zone, or a future version.
    private static func isAddressByte(_ byte: UInt8) -> Bool {
        isLetter(byte) || isDigit(byte) || ":.-_~%".utf8.contains(byte)
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }
}
