import AIO
import Glibc

/// What the command line says.
struct Workload: Sendable {
    var folder: String
    var marks: String
    var count: Int
    var variant: String

    /// Records that a promise was made.
    func mark(_ name: String) throws {
        let descriptor = open("\(marks)/\(name)", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw IOError(.notFound, "mark", path: Path(name)) }
        close(descriptor)
    }
}
