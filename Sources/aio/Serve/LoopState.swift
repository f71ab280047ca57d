import AIO
import Glibc

/// What the connections on one loop share.
final class LoopState: @unchecked Sendable {
    // @unchecked: once made it is touched by tasks on its loop's thread alone.
    let loop: IOLoop
    private let headSizeMax: Int
    private var decoders: [RequestDecoder] = []
    private var buffers: [ResponseBuffer] = []
    private var connections: [ObjectIdentifier: ServedConnection] = [:]
    private var date: (second: Int64, text: String) = (.min, "")
    private var modification: (second: Int64, text: String) = (.min, "")

    /// Kept for the next request; more are made when they are needed.
    private static var keptMax: Int { 64 }

    init(_ loop: IOLoop, headSizeMax: Int) {
        self.loop = loop
        self.headSizeMax = headSizeMax
    }

    // MARK: What is used again

    func acquireDecoder() -> RequestDecoder { decoders.popLast() ?? RequestDecoder(headSizeMax: headSizeMax) }

    /// One that is between requests.
    func release(_ decoder: RequestDecoder) { if decoders.count < Self.keptMax { decoders.append(decoder) } }

    func acquireBuffer() -> ResponseBuffer { buffers.popLast() ?? ResponseBuffer() }

    func release(_ buffer: ResponseBuffer) {
        buffer.clear()
        if buffers.count < Self.keptMax { buffers.append(buffer) }
    }

    /// On the loop's thread, which the decoders belong to.
    func dropKept() { (decoders, buffers) = ([], []) }

    // MARK: Time

    /// Seconds since 1970.
    var now: Int64 { Int64(time(nil)) }

    /// The Date field of a response that is made now.
    func dateText(_ now: Int64) -> String {
        if now != date.second { date = (now, HTTPDate.text(now)) }
        return date.text
    }

    /// The same for a file's time: most answers are about the same file as the last.
    func modificationText(_ time: Int64) -> String {
        if time != modification.second { modification = (time, HTTPDate.text(time)) }
        return modification.text
    }

    // MARK: Connections

    func add(_ connection: ServedConnection) { connections[ObjectIdentifier(connection)] = connection }

    func remove(_ connection: ServedConnection) { connections[ObjectIdentifier(connection)] = nil }

    /// Ends those that wait for a request, or all.
    func endConnections(onlyIdle: Bool) async {
        for connection in Array(connections.values) where connection.isIdle || !onlyIdle { await connection.end() }
    }
}
