import AIO
import AIOCore
import Synchronization

/// The progress bar of a copy: how much is copied of the total, the rate, and the time left. The total is counted while
/// the copy runs, and only if standard error is a terminal.
final class CopyDisplay: Sendable {
    private let progress: CopyProgress
    private let began = Kernel.now()
    private let bar = Mutex(ProgressBar())
    private let counting: Task<Void, Never>?
    private let total: CopyTotal

    init(_ progress: CopyProgress, _ sources: [Path]) {
        self.progress = progress
        let total = CopyTotal()
        self.total = total
        counting = Console.standardErrorIsTerminal ? Task { await total.count(sources) } : nil
    }

    func draw() {
        guard counting != nil else { return }
        let text = CopyDisplay.text(
            files: progress.files, bytes: progress.bytes, of: total.known,
            seconds: Double(Kernel.now() &- began) / 1e9)
        bar.withLock { $0.show(text.line, share: text.share) }
    }

    /// Clears the bar, so that a line can be written.
    func clear() { bar.withLock { $0.clear() } }

    func end() {
        counting?.cancel()
        clear()
    }

    /// The text of the bar. Each file counts as 16 KiB more than its size, because many small files take longer than
    /// their bytes suggest.
    static func text(
        files: Int, bytes: Int64, of total: (files: Int, bytes: Int64)?, seconds: Double
    ) -> (line: String, share: Double) {
        // Cloned bytes take no time, so the rate can exceed what an Int holds.
        let rate = seconds > 0 ? Int(max(0, min(Double(bytes) / seconds, 0x1p62))) : 0
        let line = "\(files) file\(files == 1 ? "" : "s"), \(ByteCount(Int(bytes))), \(ByteCount(rate & ~1023))/s"
        guard let total else { return (line, 0) }
        let weight = { (files: Int, bytes: Int64) in Double(bytes) + 16384 * Double(files) }
        let share = min(1, weight(files, bytes) / max(1, weight(total.files, total.bytes)))
        guard share > 0.001 else { return (line, share) }
        let left = Int(seconds / share * (1 - share))
        let clock = "\(left / 60):\(left % 60 < 10 ? "0" : "")\(left % 60)"
        return (line + ", \(clock) left", share)
    }
}

/// The amount to copy; known once all of it has been counted.
private final class CopyTotal: Sendable {
    private let files = Atomic<Int>(0)
    private let bytes = Atomic<Int64>(0)
    // Stored last. Releasing: pairs with the acquiring load in `known`, which then sees the final counts.
    private let isComplete = Atomic<Bool>(false)

    var known: (files: Int, bytes: Int64)? {
        guard isComplete.load(ordering: .acquiring) else { return nil }
        return (files.load(ordering: .relaxed), bytes.load(ordering: .relaxed))
    }

    func count(_ sources: [Path]) async {
        for source in sources {
            do throws(IOError) {
                for try await item in FileSystem.walk(source, options: WalkOptions(.status)) {
                    guard case .entry(let entry) = item, entry.type != .directory else { continue }
                    files.wrappingAdd(1, ordering: .relaxed)
                    guard entry.type == .regular, let status = entry.status else { continue }
                    bytes.wrappingAdd(min(status.size, status.allocatedSize), ordering: .relaxed)
                }
            } catch {
                // The copy itself reports the error.
                if error.code == .cancelled { return }
            }
        }
        isComplete.store(true, ordering: .releasing)
    }
}
