import AIOCore

/// A progress line on standard error that is redrawn in place. Draws nothing if standard error is no terminal.
final class ProgressBar {
    private let isShown = Console.standardErrorIsTerminal
    private var drawnAt: Nanoseconds = 0
    private var drawnText = ""

    private static let width = 16
    /// Nanoseconds between two redraws of the same text.
    private static let interval: Nanoseconds = 100_000_000

    /// Shows the current activity and its progress, 0 to 1.
    func show(_ text: String, share: Double) {
        guard isShown else { return }
        let now = Kernel.now()
        guard text != drawnText || now &- drawnAt > ProgressBar.interval else { return }
        drawnAt = now
        drawnText = text
        let filled = min(ProgressBar.width, Int(share * Double(ProgressBar.width)))
        let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: ProgressBar.width - filled)
        // \e[K clears the rest of a longer line.
        Console.draw("\r[\(bar)] \(Int(share * 100)) %  \(text)\u{1B}[K")
    }

    func clear() {
        if isShown, drawnAt != 0 { Console.draw("\r\u{1B}[K") }
        drawnAt = 0
    }
}
