import AIO
import Synchronization

/// State that all connections of a server share.
final class Service: Sendable {
    let folder: ServedFolder
    let limits: ServeLimits
    /// Whether folders without an index are listed.
    let listsFolders: Bool
    let log: AccessLog?
    /// Limits the workers that build listings, to leave others for files.
    let listings = Gate(width: 4)
    let runtime: IORuntime
    /// Relaxed: it publishes no other data; `stopEnd` has its own lock.
    private let stopping = Atomic(false)
    /// The deadline for requests in progress.
    private let stopEnd = Mutex(Deadline.never)

    init(_ folder: ServedFolder, _ limits: ServeLimits, listsFolders: Bool, _ log: AccessLog?, _ runtime: IORuntime) {
        self.folder = folder
        self.limits = limits
        self.listsFolders = listsFolders
        self.log = log
        self.runtime = runtime
    }

    /// Whether connections must end after their current request.
    var isStopping: Bool { stopping.load(ordering: .relaxed) }

    /// The end of the shutdown time; `never` before `beginStop`.
    var stopDeadline: Deadline { stopEnd.withLock { $0 } }

    func beginStop() {
        stopEnd.withLock { $0 = .after(limits.shutdownTime) }
        stopping.store(true, ordering: .relaxed)
        log?.beginStop()
    }
}
