/// The status of a response. RFC 9110, section 15.
enum Status: Int {
    case ok = 200
    case partialContent = 206
    case movedPermanently = 301
    case notModified = 304
    case badRequest = 400
    case forbidden = 403
    case notFound = 404
    case methodNotAllowed = 405
    case requestTimeout = 408
    case preconditionFailed = 412
    case contentTooLarge = 413
    case uriTooLong = 414
    case rangeNotSatisfiable = 416
    case expectationFailed = 417
    case headerFieldsTooLarge = 431
    case internalServerError = 500
    case notImplemented = 501
    case serviceUnavailable = 503
    case versionNotSupported = 505

    /// The number and the reason phrase.
    var line: StaticString {
        switch self {
        case .ok: "200 OK"
        case .partialContent: "206 Partial Content"
        case .movedPermanently: "301 Moved Permanently"
        case .notModified: "304 Not Modified"
        case .badRequest: "400 Bad Request"
        case .forbidden: "403 Forbidden"
        case .notFound: "404 Not Found"
        case .methodNotAllowed: "405 Method Not Allowed"
        case .requestTimeout: "408 Request Timeout"
        case .preconditionFailed: "412 Precondition Failed"
        case .contentTooLarge: "413 Content Too Large"
        case .uriTooLong: "414 URI Too Long"
        case .rangeNotSatisfiable: "416 Range Not Satisfiable"
        case .expectationFailed: "417 Expectation Failed"
        case .headerFieldsTooLarge: "431 Request Header Fields Too Large"
        case .internalServerError: "500 Internal Server Error"
        case .notImplemented: "501 Not Implemented"
        case .serviceUnavailable: "503 Service Unavailable"
        case .versionNotSupported: "505 HTTP Version Not Supported"
        }
    }

    /// Whether the connection must end: the start of the next request is unknown, or the client is not to send one.
    var endsConnection: Bool {
        switch self {
        case .badRequest, .requestTimeout, .contentTooLarge, .uriTooLong, .expectationFailed, .headerFieldsTooLarge,
            .notImplemented, .versionNotSupported:
            true
        default: false
        }
    }
}

/// A request that gets an error response.
struct Refusal: Error {
    var status: Status
    init(_ status: Status) { self.status = status }
}
