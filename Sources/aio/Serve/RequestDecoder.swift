import NIOCore
import NIOEmbedded
import NIOHTTP1

/// Takes bytes and gives requests: the decoder of NIOHTTP1, in a channel that leads nowhere, as it has to be in one.
///
/// On the thread that made it.
final class RequestDecoder {
    enum Part {
        case head(HTTPRequestHead)
        /// So many bytes of a body, which is not kept.
        case body(Int)
        case end
    }

    private let channel: EmbeddedChannel
    private let collector = PartCollector()
    private var buffer: ByteBuffer
    private let headSizeMax: Int
    private var next = 0
    /// Whether the bytes taken so far end where a request does: then nothing is kept here.
    private(set) var isBetweenRequests = true
    /// Since the last request, up to the end of its first line: for telling which part of a head is too large.
    private var lineSize = 0
    private var isLineComplete = false
    private var failure: Refusal?
    /// What came last.
    private var lineEnd: [UInt8] = []
    /// The last one in the lowest bits.
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

    /// The decoder and its channel hold each other until it is told to go.
    deinit { _ = try? channel.finish(acceptAlreadyClosed: true) }

    /// Takes bytes; their parts are then to be had by `nextPart`. Not after a refusal, nor after a request that ends its
    /// connection.
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
            // What ends with an empty line after a complete request holds nothing of another, but for such lines.
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

    /// What was wrong with the bytes, once all parts before it have been had.
    var refusal: Refusal? { next == collector.parts.count ? failure : nil }

    private func refusal(for error: any Error, _ bytes: UnsafeRawBufferPointer) -> Refusal {
        switch error as? HTTPParserError {
        case .headerOverflow?: Refusal(lineSize > headSizeMax ? .uriTooLong : .headerFieldsTooLarge)
        // It stops at a line break without a carriage return, which is no matter of the version.
        case .invalidVersion? where hasBareLineBreak(bytes): Refusal(.badRequest)
        // The parser pauses at the preface of HTTP/2.
        case .invalidVersion?, .paused?: Refusal(.versionNotSupported)
        // The parser knows all methods that are registered; but what is no word at all is no method.
        case .invalidMethod?: Refusal(collector.parts.isEmpty && bytes.beginsWithWord ? .notImplemented : .badRequest)
        default: Refusal(.badRequest)
        }
    }

    /// A line break, and one before it. The parser takes none without a carriage return for the end of a head.
    private var endsWithEmptyLine: Bool { lastBytes & 0xff_ffff == 0x0a_0d0a }

    /// Whether a request's first line ends with a version and a line feed alone.
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
    /// Letters, and a space behind them.
    fileprivate var beginsWithWord: Bool {
        let word = prefix { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) || $0 == UInt8(ascii: "-") }
        return !word.isEmpty && word.count < count && self[word.count] == UInt8(ascii: " ")
    }
}

/// Keeps what comes out of the decoder.
private final class PartCollector: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart

    var parts: [RequestDecoder.Part] = []
    var error: (any Error)?

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): parts.append(.head(head))
        case .body(let bytes): add(bytes.readableBytes)
        case .end: parts.append(.end)
        }
    }

    /// Bodies may come in any number of chunks.
    private func add(_ count: Int) {
        if case .body(let before) = parts.last {
            parts[parts.count - 1] = .body(before + count)
        } else {
            parts.append(.body(count))
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // The first says what was wrong, the second that it ended the parsing.
        if self.error == nil { self.error = error }
    }
}
