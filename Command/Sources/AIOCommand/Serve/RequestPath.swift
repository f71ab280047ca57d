/// The part of a request's target that names a file, in the form for openat2(2).
struct RequestPath: Equatable {
    /// The decoded path relative to the folder, NUL-terminated; `.` for the folder itself.
    private(set) var cString: [UInt8]
    /// Whether the path names a folder, for which the index is sent.
    let endsWithSlash: Bool
    /// The query with its question mark; empty if there is none.
    let query: Substring

    private static var slash: UInt8 { UInt8(ascii: "/") }
    /// PATH_MAX: the size of a path with its NUL.
    private static var sizeMax: Int { 4096 }

    /// Throws a refusal for an invalid target, and for one with a NUL byte, an encoded slash or a `..` component. A
    /// client can spell any legitimate path without them.
    init(_ target: String) throws(Refusal) {
        // llhttp allows some invalid characters, and invalid UTF-8 was replaced by other ones.
        guard target.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else { throw Refusal(.badRequest) }
        var path = try Self.withoutAuthority(target)
        query = path.firstIndex(of: "?").map { path[$0...] } ?? ""
        path = path.dropLast(query.count)
        // RFC 9112, section 3.2: a target has no fragment. A file name with `#` must be percent-encoded.
        guard !path.utf8.contains(UInt8(ascii: "#")) else { throw Refusal(.badRequest) }
        let decoded = try Self.decode(path.utf8.drop { $0 == Self.slash })
        guard decoded.count < Self.sizeMax else { throw Refusal(.uriTooLong) }
        guard !Self.leadsUp(decoded) else { throw Refusal(.badRequest) }
        endsWithSlash = decoded.isEmpty || decoded.last == Self.slash
        cString = decoded.isEmpty ? [UInt8(ascii: "."), 0] : decoded + [0]
    }

    /// The path without its NUL.
    var bytes: ArraySlice<UInt8> { cString.dropLast() }

    /// The path of `name` in this folder.
    func appending(_ name: StaticString) -> RequestPath {
        var path = self
        path.cString.removeLast()
        if path.cString.last != Self.slash { path.cString.append(Self.slash) }
        path.cString.append(contentsOf: UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
        path.cString.append(0)
        return path
    }

    /// The target of the same path with a trailing slash. It begins with exactly one slash, because two would start an
    /// authority; everything else that could have another meaning is encoded.
    var folderTarget: String {
        let isRoot = cString == [UInt8(ascii: "."), 0]
        return "/" + (isRoot ? "" : PercentEncoding.encode(bytes, keepsSlashes: true) + (endsWithSlash ? "" : "/"))
            + query
    }

    /// The path of a target in absolute form, as proxies receive it (RFC 9112, section 3.2.2).
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
            // An encoded slash would be part of a name, and no file name contains one.
            guard value != 0, value != slash else { throw Refusal(.badRequest) }
            decoded.append(value)
        }
        return decoded
    }

    private static func leadsUp(_ path: [UInt8]) -> Bool {
        let dots = [UInt8(ascii: "."), UInt8(ascii: ".")]
        // A quick test: most paths have no two consecutive dots.
        guard zip(path, path.dropFirst()).contains(where: { $0 == dots[0] && $1 == dots[0] }) else { return false }
        return path.split(separator: slash).contains { $0.elementsEqual(dots) }
    }
}

/// Percent-encoding. RFC 3986, section 2.
enum PercentEncoding {
    /// Encodes everything except letters, digits and `-._~`.
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
