import NIOCore
import NIOEmbedded
import NIOHTTP1

/// Turns bytes into requests: NIOHTTP1's decoder in an embedded channel, because it runs only in a channel.
///
/// Must be used on the thread that created it.
final class RequestDecoder {
    enum Part {
        case head(HTTPRequestHead)
        /// A number of bytes of a body. The bytes are not kept.
        case body(Int)
        case end
    }

    private let channel: EmbeddedChannel
    private let collector = PartCollector()
    private var buffer: ByteBuffer
    private let headSizeMax: Int
    private var next = 0
    /// Whether the bytes so far end at the end of a request, so that the decoder holds no data.
    private(set) var isBetweenRequests = true
    /// Whether a part of a request's head has come, and nothing else that was not returned. False if that is not known:
    /// where a body with a Content-Length ends is not visible in the bytes.
    var holdsPartOfHead: Bool {
        next == collector.parts.count && !isBetweenRequests && failure == nil && !collector.endsWithLength
    }
    /// Size of the current request up to the end of its first line: distinguishes a long target from large fields.
    private var lineSize = 0
    private var isLineComplete = false
    private var failure: Refusal?
    /// The last 8 bytes of the previous calls.
    private var lineEnd: [UInt8] = []
    /// The last 4 bytes; the most recent in the lowest bits.
    private var lastBytes: UInt32 = 0

    init(headSizeMax: Int) {
        self.headSizeMax = headSizeMax
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderListSize = headSizeMax
        limits.maxHeaderFieldSize = headSizeMax
        limits.maxHeaderFieldCount = 128
        let decoder = HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes, limitConfiguration: limits)
        channel = EmbeddedChannel(handlers: [ByteToMessageHandler(decoder), collector])
        buffer = channel.allocator.buffer(capacity: 2048)
    }

    /// The decoder and its channel retain each other until the channel is finished.
    deinit { _ = try? channel.finish(acceptAlreadyClosed: true) }

    /// Decodes bytes; `nextPart` then returns their parts. Must not be called after a refusal or after a request that
    /// ends its connection.
    func feed(_ bytes: UnsafeRawBufferPointer) {
        if next == collector.parts.count {
            collector.parts.removeAll(keepingCapacity: true)
            next = 0
        }
        noteLine(bytes)
        for byte in bytes.suffix(3) { lastBytes = lastBytes << 8 | UInt32(byte) }
        buffer.clear()
        buffer.writeBytes(bytes)
        channel.pipeline.syncOperations.fireChannelRead(NIOAny(buffer))
        if let error = collector.error, failure == nil { failure = refusal(for: error, bytes) }
        lineEnd = Array((lineEnd + bytes.suffix(8)).suffix(8))
        if case .end = collector.parts.last {
            // After a complete request, data that ends with an empty line holds nothing of another request except such
            // lines.
            isBetweenRequests = endsWithEmptyLine && failure == nil
            (lineSize, isLineComplete) = (0, false)
        } else {
            isBetweenRequests = false
        }
    }

    func nextPart() -> Part? {
        guard next < collector.parts.count else { return nil }
        defer { next += 1 }
        return collector.parts[next]
    }

    /// The error in the bytes, once all parts before it have been returned.
    var refusal: Refusal? { next == collector.parts.count ? failure : nil }

    private func refusal(for error: any Error, _ bytes: UnsafeRawBufferPointer) -> Refusal {
        switch error as? HTTPParserError {
        case .headerOverflow?: Refusal(lineSize > headSizeMax ? .uriTooLong : .headerFieldsTooLarge)
        // The parser reports a bare line feed after the version as an invalid version.
        case .invalidVersion? where hasBareLineBreak(bytes): Refusal(.badRequest)
        // The parser pauses at the connection preface of HTTP/2.
        case .invalidVersion?, .paused?: Refusal(.versionNotSupported)
        // The parser knows all registered methods. A malformed method is a bad request.
        case .invalidMethod?: Refusal(collector.parts.isEmpty && bytes.beginsWithWord ? .notImplemented : .badRequest)
        default: Refusal(.badRequest)
        }
    }

    /// Whether the bytes end with LF CR LF. The parser does not accept a bare line feed as the end of a head.
    private var endsWithEmptyLine: Bool { lastBytes & 0xff_ffff == 0x0a_0d0a }

    /// Whether a request line ends with a version and a bare line feed.
    private func hasBareLineBreak(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let text = lineEnd + Array(bytes)
        return text.indices.contains { end in
            text[end] == UInt8(ascii: "\n") && end >= 8 && text[(end - 8)..<(end - 1)].elementsEqual("HTTP/1.".utf8)
                && (text[end - 1] == UInt8(ascii: "0") || text[end - 1] == UInt8(ascii: "1"))
        }
    }

    private func noteLine(_ bytes: UnsafeRawBufferPointer) {
        guard !isLineComplete else { return }
        let end = bytes.firstIndex(of: UInt8(ascii: "\n"))
        lineSize += end ?? bytes.count
        isLineComplete = end != nil
    }
}

extension UnsafeRawBufferPointer {
    /// Whether the bytes begin with capital letters or dashes and then a space.
    fileprivate var beginsWithWord: Bool {
        let word = prefix { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) || $0 == UInt8(ascii: "-") }
        return !word.isEmpty && word.count < count && self[word.count] == UInt8(ascii: " ")
    }
}

/// Collects the decoder's output.
private final class PartCollector: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart

    var parts: [RequestDecoder.Part] = []
    var error: (any Error)?
    private var lastHead: HTTPRequestHead?

    /// Whether the body of the last request has a Content-Length.
    var endsWithLength: Bool { lastHead?.headers.contains(name: "Content-Length") == true }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            lastHead = head
            parts.append(.head(head))
        case .body(let bytes): add(bytes.readableBytes)
        case .end: parts.append(.end)
        }
    }

    /// Merges the chunks of a body, of which there can be any number.
    private func add(_ count: Int) {
        if case .body(let before) = parts.last {
            parts[parts.count - 1] = .body(before + count)
        } else {
            parts.append(.body(count))
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // The first error is the cause; later ones only report that parsing has stopped.
        if self.error == nil { self.error = error }
    }
}
