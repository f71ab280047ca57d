import Glibc

/// Why a command failed, in one line for the user.
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
    /// What the command leaves behind, for the user.
    var remains = "nothing is left behind"
}
