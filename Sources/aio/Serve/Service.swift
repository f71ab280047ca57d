import AIO
import Synchronization

/// What all connections of a server have in common.
final class Service: Sendable {
    let folder: ServedFolder
    let limits: ServeLimits
    /// Whether folders without an index are listed.
    let listsFolders: Bool
    let log: AccessLog?
    /// Workers that put listings together: the others are for files.
    let listings = Gate(width: 4)
    let runtime: IORuntime
    /// Relaxed: nothing is published with it.
    private let stopping = Atomic(false)
    /// Up to which what is under way may go on.
    private let stopEnd = Mutex(Deadline.never)

    init(_ folder: ServedFolder, _ limits: ServeLimits, listsFolders: Bool, _ log: AccessLog?, _ runtime: IORuntime) {
        self.folder = folder
        self.limits = limits
        self.listsFolders = listsFolders
        self.log = log
        self.runtime = runtime
    }

    /// Whether connections are to end after the request that they are at.
    var isStopping: Bool { stopping.load(ordering: .relaxed) }

    /// Once it has been asked to stop: the end of the time for that.
    var stopDeadline: Deadline { stopEnd.withLock { $0 } }

    func beginStop() {
        stopEnd.withLock { $0 = .after(limits.shutdownTime) }
        stopping.store(true, ordering: .relaxed)
        log?.beginStop()
    }
}
