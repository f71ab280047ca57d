import AIO
import Synchronization

/// The access log: one line per request, in the common log format.
final class AccessLog: Sendable {
    private struct State {
        var lines: [UInt8] = []
        /// Writes the lines; nil if there are none to write.
        var writing: Task<Void, Never>?
        /// After a failure, or at the end: nothing more is written.
        var isClosed = false
        /// The server is stopping: requests no longer wait for room, and lines beyond the limit are dropped.
        var isStopping = false
        var droppedCount = 0
    }

    private let state = Mutex(State())
    private let writer: StreamWriter
    private let runtime: IORuntime

    /// Bytes buffered for writing. Requests wait while the buffer holds more.
    private static var sizeMax: Int { 1 << 20 }

    init(to writer: StreamWriter) {
        self.writer = writer
        runtime = writer.runtime
    }

    /// Logs a request; nil stands for bytes that were not a valid request.
    func note(
        _ client: SocketAddress?, _ request: Request?, _ status: Status, _ bytes: Int64, _ now: Int64
    ) async {
        let line = Self.line(client, request, status, bytes, now)
        state.withLock { state in
            guard !state.isClosed else { return }
            if state.isStopping, state.lines.count > Self.sizeMax {
                state.droppedCount += 1
                return
            }
            state.lines += line.utf8
            guard state.writing == nil else { return }
            // A separate task writes, so that no request waits for the write. It is created under the lock, so that
            // `finish` does not miss it.
            state.writing = Task(executorPreference: runtime.loops.first) { await self.write() }
        }
        while state.withLock({ $0.lines.count > Self.sizeMax && !$0.isStopping }) {
            try? await runtime.sleep(until: .after(.milliseconds(10)))
        }
    }

    /// From now on, requests do not wait for the log.
    func beginStop() { state.withLock { $0.isStopping = true } }

    /// Waits until all lines are written, or until `deadline`: standard output may have no reader. Then cancels the
    /// write. Later lines are not written.
    func finish(until deadline: Deadline) async {
        while !closeIfWritten(or: deadline.hasPassed) { try? await runtime.sleep(until: .after(.milliseconds(5))) }
        let (task, dropped) = state.withLock { ($0.writing, $0.droppedCount) }
        task?.cancel()
        await task?.value
        if task == nil, dropped > 0 {
            Console.complain("access log: standard output is not read; \(dropped) lines were lost")
        }
    }

    /// Closes the log if no line is left to write, or anyway. Returns whether it is closed.
    private func closeIfWritten(or anyway: Bool) -> Bool {
        state.withLock { state in
            if anyway || state.writing == nil { state.isClosed = true }
            return state.isClosed
        }
    }

    private func write() async {
        while let lines = next() {
            do throws(IOError) {
                try await writer.writeAll(lines)
            } catch {
                let isUnread = error.code == .cancelled
                let reason = isUnread ? "standard output is not read; lines were lost" : "\(error); logging has stopped"
                Console.complain("access log: \(reason)")
                state.withLock { ($0.isClosed, $0.writing, $0.lines) = (true, nil, []) }
                return
            }
        }
    }

    private func next() -> [UInt8]? {
        state.withLock { state in
            guard !state.lines.isEmpty else {
                state.writing = nil
                return nil
            }
            defer { state.lines = [] }
            return state.lines
        }
    }

    static func line(
        _ client: SocketAddress?, _ request: Request?, _ status: Status, _ bytes: Int64, _ now: Int64
    ) -> String {
        let first = request.map { "\($0.methodName) \(escape($0.target)) HTTP/1.\($0.isVersion10 ? 0 : 1)" } ?? "-"
        return "\(host(client)) - - [\(HTTPDate.logText(now))] \"\(first)\" \(status.rawValue) \(bytes)\n"
    }

    private static func host(_ client: SocketAddress?) -> String {
        switch client {
        case .v4(let address, _)?: "\(address)"
        case .v6(let address, _, _)?: "\(address)"
        default: "unix"
        }
    }

    /// Bytes that could end the field or control a terminal become `\xHH`.
    private static func escape(_ target: String) -> String {
        var text = ""
        for byte in target.utf8 {
            if (0x21...0x7e).contains(byte), byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") {
                text.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                text += "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
            }
        }
        return text
    }
}
