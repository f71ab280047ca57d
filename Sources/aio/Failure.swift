import Glibc

/// Why a command cannot go on, in one line for the person at the terminal.
struct Failure: Error {
    var message: String

    init(_ message: String) { self.message = message }

    /// `what` failed with `result`, a negative errno.
    init(_ what: String, result: Int) {
        message = "\(what): \(Failure.text(errno: Int32(truncatingIfNeeded: -result)))"
    }

    static func text(errno: Int32) -> String { String(cString: strerror(errno)) }
}

/// A signal asked the command to stop.
struct Interrupted: Error {
    var signal: Int32
    /// What is left of what it did, for the person at the terminal.
    var remains = "nothing is left behind"
}
