internal import AIOCore

/// What is on the disk of a simulated host after a run, for the next run: everything, or after a crash what survived.
///
/// A run works on a copy of its own, so one disk may be the beginning of many runs.
public final class SimulatedDisk: @unchecked Sendable {
    // @unchecked: nothing changes it once it is made; `copy` only reads it.

    private let files: SimulatedFileSystem
    /// The virtual time at which the run ended: the next one begins a second later.
    let time: Nanoseconds

    /// Takes over a file system in which everything is durable.
    init(_ files: SimulatedFileSystem, _ time: Nanoseconds) {
        self.files = files
        self.time = time
    }

    func copy(in world: World) -> SimulatedFileSystem { files.copy(in: world) }
}

/// A loss of power in the middle of a run.
public struct SimulatedCrash: Sendable, Hashable {
    /// What survives of that which was not synced.
    public enum Rules: Sendable, Hashable {
        /// What POSIX promises, and nothing else: any write, size or name that was not synced may be lost, kept or
        /// torn at a sector of 512 bytes, each by itself.
        case posix
        /// What ext4 (data=ordered, auto_da_alloc) and XFS add: metadata become durable in order, data before the size
        /// that shows them, and an fsync of a new file makes its name durable.
        case ordered
    }

    /// The system call before which the power is lost, counted from 1 over all hosts (`SimulationReport.callCount`).
    public var call: Int
    public var rules: Rules

    public init(beforeCall call: Int, rules: Rules = .posix) {
        self.call = call
        self.rules = rules
    }
}
