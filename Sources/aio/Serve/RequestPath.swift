/// The part of a request's target that names a file, as the kernel is to be asked for it.
struct RequestPath: Equatable {
    /// Relative to the folder, decoded, and NUL-terminated; `.` for the folder itself.
    private(set) var cString: [UInt8]
    /// It names a folder, whose index is meant.
    let endsWithSlash: Bool
    /// What follows the question mark, with it.
    let query: Substring

    private static var slash: UInt8 { UInt8(ascii: "/") }
    /// Bytes of a path with its NUL, as the kernel takes it (PATH_MAX).
    private static var sizeMax: Int { 4096 }

    /// Throws a refusal for what is no target, holds a NUL byte, a slash that is encoded, or a `..`: who means another path
    /// can say so.
    init(_ target: String) throws(Refusal) {
        // What llhttp lets through, or what came as invalid UTF-8.
        guard target.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else { throw Refusal(.badRequest) }
        var path = try Self.withoutAuthority(target)
        query = path.firstIndex(of: "?").map { path[$0...] } ?? ""
        path = path.dropLast(query.count)
        // A fragment is the client's own; one that sends it errs, and no file name is meant by it.
        guard !path.utf8.contains(UInt8(ascii: "#")) else { throw Refusal(.badRequest) }
        let decoded = try Self.decode(path.utf8.drop { $0 == Self.slash })
        guard decoded.count < Self.sizeMax else { throw Refusal(.uriTooLong) }
        guard !Self.leadsUp(decoded) else { throw Refusal(.badRequest) }
        endsWithSlash = decoded.isEmpty || decoded.last == Self.slash
        cString = decoded.isEmpty ? [UInt8(ascii: "."), 0] : decoded + [0]
    }

    /// The path without its NUL.
    var bytes: ArraySlice<UInt8> { cString.dropLast() }

    /// The path of a name in the folder that this names.
    func appending(_ name: StaticString) -> RequestPath {
        var path = self
        path.cString.removeLast()
        if path.cString.last != Self.slash { path.cString.append(Self.slash) }
        path.cString.append(contentsOf: UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
        path.cString.append(0)
        return path
    }

    /// The target of the same path with a slash at its end: with one slash at its beginning, since two would begin with
    /// the name of a host, and with nothing in it that could mean something else.
    var folderTarget: String {
        let isRoot = cString == [UInt8(ascii: "."), 0]
        return "/" + (isRoot ? "" : PercentEncoding.encode(bytes, keepsSlashes: true) + (endsWithSlash ? "" : "/"))
            + query
    }

    /// The path in a target that begins with a scheme and a host, as proxies are sent it.
    private static func withoutAuthority(_ target: String) throws(Refusal) -> Substring {
        if target.utf8.first == slash { return target[...] }
        guard let colon = target.firstIndex(of: ":"), ["http", "https"].contains(target[..<colon].lowercased()),
            target[colon...].hasPrefix("://")
        else { throw Refusal(.badRequest) }
        let rest = target[colon...].dropFirst(3)
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        guard !authority.isEmpty, HostField.isValid(authority) else { throw Refusal(.badRequest) }
        guard let end = rest.firstIndex(where: { $0 == "/" || $0 == "?" }) else { return "/" }
        return rest[end] == "/" ? rest[end...] : "/" + rest[end...]
    }

    private static func decode(_ path: Substring.UTF8View.SubSequence) throws(Refusal) -> [UInt8] {
        var decoded: [UInt8] = []
        decoded.reserveCapacity(path.count + 16)
        var rest = path.makeIterator()
        while let byte = rest.next() {
            guard byte == UInt8(ascii: "%") else {
                decoded.append(byte)
                continue
            }
            guard let high = rest.next().flatMap(PercentEncoding.digit),
                let low = rest.next().flatMap(PercentEncoding.digit)
            else { throw Refusal(.badRequest) }
            let value = high << 4 | low
            // An encoded slash would be one of the name's, and no name has any.
            guard value != 0, value != slash else { throw Refusal(.badRequest) }
            decoded.append(value)
        }
        return decoded
    }

    private static func leadsUp(_ path: [UInt8]) -> Bool {
        let dots = [UInt8(ascii: "."), UInt8(ascii: ".")]
        // Most paths hold no two dots in a row.
        guard zip(path, path.dropFirst()).contains(where: { $0 == dots[0] && $1 == dots[0] }) else { return false }
        return path.split(separator: slash).contains { $0.elementsEqual(dots) }
    }
}

/// Bytes as URLs have them. RFC 3986, 2.
enum PercentEncoding {
    /// Everything but letters, digits and `-._~` is encoded.
    static func encode(_ bytes: some Sequence<UInt8>, keepsSlashes: Bool) -> String {
        var text: [UInt8] = []
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                text.append(byte)
            case UInt8(ascii: "/") where keepsSlashes: text.append(byte)
            default: text += [UInt8(ascii: "%"), hexadecimal(byte >> 4), hexadecimal(byte & 15)]
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    private static func hexadecimal(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "A") + value - 10
    }
}
