import AIO
import Glibc

/// Buffered standard output. Paths are written as they are, but quoted on a terminal, so that they cannot control it.
final class OutputBuffer {
    private var bytes: [UInt8] = []
    let isTerminal = isatty(1) == 1

    func add(_ text: String) { bytes += text.utf8 }

    func add(_ path: Path) { if isTerminal { add("\(path)") } else { bytes += path.bytes } }

    /// Adds bytes that need no quoting.
    func add(bytes more: [UInt8]) { bytes += more }

    func flushIfLarge() throws(Failure) { if bytes.count > 65536 { try flush() } }

    /// Runs `body`, and then writes what it has added, even if it throws.
    // Not inlined: the optimizer of Swift 6.3.1 crashes (signal 11) if it inlines this into a caller with a task group.
    @inline(never)
    func flushing(_ body: () async throws -> Void) async throws {
        do { try await body() } catch {
            // An error of the write would hide the cause.
            try? flush()
            throw error
        }
        try flush()
    }

    func flush() throws(Failure) {
        defer { bytes.removeAll(keepingCapacity: true) }
        try Console.write(bytes)
    }
}
