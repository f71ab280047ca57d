import NIOHTTP1

/// The part of a request's head that matters for serving files.
struct Request {
    enum Method { case get, head, other }

    var method: Method
    /// For the access log.
    var methodName: String
    var target: String
    var isVersion10: Bool
    /// Whether the client allows another request on the connection.
    var isKeepAlive: Bool
    var range: String?
    var conditions = Conditions()
    /// Bytes of the body according to Content-Length.
    var contentLength: Int64 = 0
    var hasBody = false
    var hosts = 0
    var isHostValid = true
    private var hasTransferEncoding = false
    /// Whether the client waits for a 100 response before it sends the body.
    var expectsContinue = false
    var hasOtherExpectation = false

    init(_ head: HTTPRequestHead) {
        switch head.method {
        case .GET: method = .get
        case .HEAD: method = .head
        default: method = .other
        }
        methodName = head.method.rawValue
        target = head.uri
        isVersion10 = head.version.minor == 0
        isKeepAlive = head.isKeepAlive && head.method != .CONNECT
        for (name, value) in head.headers { take(name, value) }
        // RFC 9112, section 6.1: HTTP/1.0 has no chunked coding, so an intermediary may have determined another body
        // length.
        if isVersion10, hasTransferEncoding { isKeepAlive = false }
    }

    private mutating func take(_ name: String, _ value: String) {
        // The length rules out most fields.
        switch name.utf8.count {
        case 4 where name.isField("host"):
            hosts += 1
            isHostValid = isHostValid && HostField.isValid(value)
        case 5 where name.isField("range"): Self.join(&range, value)
        case 6 where name.isField("expect"):
            if value.isField("100-continue") { expectsContinue = !isVersion10 } else { hasOtherExpectation = true }
        // Ignoring an upgrade is a valid response, but the decoder stops parsing after it.
        case 7 where name.isField("upgrade"): isKeepAlive = false
        case 8 where name.isField("if-match"): Self.join(&conditions.ifMatch, value)
        case 8 where name.isField("if-range"): Self.join(&conditions.ifRange, value)
        case 13 where name.isField("if-none-match"): Self.join(&conditions.ifNoneMatch, value)
        case 14 where name.isField("content-length"):
            // The parser has verified that the value is a number and the only one.
            contentLength = Int64(value.trimmingBlanks) ?? .max
            hasBody = contentLength > 0
        case 17 where name.isField("if-modified-since"): Self.join(&conditions.ifModifiedSince, value)
        case 17 where name.isField("transfer-encoding"): (hasBody, hasTransferEncoding) = (true, true)
        case 19 where name.isField("if-unmodified-since"): Self.join(&conditions.ifUnmodifiedSince, value)
        default: break
        }
    }

    /// Several lines of one field form one list.
    private static func join(_ field: inout String?, _ value: String) {
        field = field.map { $0 + ", " + value } ?? value
    }
}

extension String {
    /// Compares without regard to case; `name` must be in lower case.
    fileprivate func isField(_ name: StaticString) -> Bool {
        guard utf8.count == name.utf8CodeUnitCount else { return false }
        var expected = name.utf8Start
        for byte in utf8 {
            let isUpper = (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
            guard (isUpper ? byte | 0x20 : byte) == expected.pointee else { return false }
            expected += 1
        }
        return true
    }
}
