import AIO
import Glibc

/// State that the connections on one loop share.
final class LoopState: @unchecked Sendable {
    // @unchecked: after init, only tasks on the loop's thread access it.
    let loop: IOLoop
    private let headSizeMax: Int
    private var decoders: [RequestDecoder] = []
    private var buffers: [ResponseBuffer] = []
    private var connections: [ObjectIdentifier: ServedConnection] = [:]
    private var date: (second: Int64, text: String) = (.min, "")
    private var modification: (second: Int64, text: String) = (.min, "")

    /// The most decoders and buffers that are kept for reuse.
    private static var keptMax: Int { 64 }

    init(_ loop: IOLoop, headSizeMax: Int) {
        self.loop = loop
        self.headSizeMax = headSizeMax
    }

    // MARK: Reuse

    func acquireDecoder() -> RequestDecoder { decoders.popLast() ?? RequestDecoder(headSizeMax: headSizeMax) }

    /// The decoder must be between requests.
    func release(_ decoder: RequestDecoder) { if decoders.count < Self.keptMax { decoders.append(decoder) } }

    func acquireBuffer() -> ResponseBuffer { buffers.popLast() ?? ResponseBuffer() }

    func release(_ buffer: ResponseBuffer) {
        buffer.clear()
        if buffers.count < Self.keptMax { buffers.append(buffer) }
    }

    /// Must run on the loop's thread, to which the decoders belong.
    func dropKept() { (decoders, buffers) = ([], []) }

    // MARK: Time

    /// Seconds since 1970.
    var now: Int64 { Int64(time(nil)) }

    /// The text of the Date field, cached for the current second.
    func dateText(_ now: Int64) -> String {
        if now != date.second { date = (now, HTTPDate.text(now)) }
        return date.text
    }

    /// The text of a file's modification time, with one cached value: successive responses are mostly about the same
    /// file.
    func modificationText(_ time: Int64) -> String {
        if time != modification.second { modification = (time, HTTPDate.text(time)) }
        return modification.text
    }

    // MARK: Connections

    func add(_ connection: ServedConnection) { connections[ObjectIdentifier(connection)] = connection }

    func remove(_ connection: ServedConnection) { connections[ObjectIdentifier(connection)] = nil }

    /// Closes the idle connections, or all.
    func endConnections(onlyIdle: Bool) async {
        for connection in Array(connections.values) where connection.isIdle || !onlyIdle { await connection.end() }
    }
}
