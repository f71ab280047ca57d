import AIO
import Synchronization

/// What all connections of a server have in common.
final class Service: Sendable {
    let folder: ServedFolder
    let limits: ServeLimits
    /// Whether folders without an index are listed.
    let listsFolders: Bool
    let log: AccessLog?
    let runtime: IORuntime
    /// Relaxed: nothing is published with it.
    private let stopping = Atomic(false)

    init(_ folder: ServedFolder, _ limits: ServeLimits, listsFolders: Bool, _ log: AccessLog?, _ runtime: IORuntime) {
        self.folder = folder
        self.limits = limits
        self.listsFolders = listsFolders
        self.log = log
        self.runtime = runtime
    }

    /// Whether connections are to end after the request that they are at.
    var isStopping: Bool { stopping.load(ordering: .relaxed) }

    func beginStop() { stopping.store(true, ordering: .relaxed) }
}
