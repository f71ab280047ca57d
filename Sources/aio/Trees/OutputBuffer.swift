import AIO
import Glibc

/// Standard output, collected. Names go out as they are, but to a terminal as text that does nothing to it.
final class OutputBuffer {
    private var bytes: [UInt8] = []
    let isTerminal = isatty(1) == 1

    func add(_ text: String) { bytes += text.utf8 }

    func add(_ path: Path) { if isTerminal { add("\(path)") } else { bytes += path.bytes } }

    /// Bytes that are harmless already.
    func add(bytes more: [UInt8]) { bytes += more }

    func flushIfLarge() throws(Failure) { if bytes.count > 65536 { try flush() } }

    func flush() throws(Failure) {
        defer { bytes.removeAll(keepingCapacity: true) }
        try Console.write(bytes)
    }
}
