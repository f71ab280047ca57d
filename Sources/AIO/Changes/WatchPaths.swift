internal import AIOCore
internal import CKernel

extension FileSystem {
    /// Watches files and directories. What happens from the time that this returns on is told by the sequence.
    ///
    /// Of a directory, its entries are watched too, but not theirs. A symbolic link is followed, unless `followLinks` is
    /// false. Where several paths lead to one file, changes name the first of them. Changes that other machines make on a
    /// network file system, and those of the files of /proc and /sys, the kernel does not tell.
    ///
    /// One operation on a worker. Throws what inotify_add_watch(2) says of the first path that cannot be watched; then
    /// nothing is. The kernel's limits are `fs.inotify.max_user_instances` and `fs.inotify.max_user_watches`.
    public static func changes(
        of paths: [Path], _ events: ChangeEvents = .changes, followLinks: Bool = true, runtime: IORuntime = .shared,
        deadline: Deadline = .never
    ) async throws(IOError) -> Changes {
        guard !paths.isEmpty, !events.isEmpty else {
            throw IOError(.invalidArgument, "inotify", advice: "there is nothing to watch: no path, or no events")
        }
        let mask = events.intersection(.all).rawValue | (followLinks ? 0 : CK_IN_DONT_FOLLOW)
        let work = try WatchStart(paths, mask, deadline)
        do throws(IOError) {
            let number = try await runtime.perform(work, "inotify", paths[0], deadline)
            return Changes(adopting: number, paths: work.watches, runtime: runtime)
        } catch {
            var error = error
            error.path = work.failedPath ?? error.path
            switch error.errno?.rawValue {
            case ENOSPC?: error.advice = "raise fs.inotify.max_user_watches, see sysctl(8)"
            case EMFILE?: error.advice = "raise fs.inotify.max_user_instances, see sysctl(8), or RLIMIT_NOFILE"
            default: break
            }
            throw error
        }
    }

    /// Watches one file or directory.
    public static func changes(
        of path: Path, _ events: ChangeEvents = .changes, followLinks: Bool = true, runtime: IORuntime = .shared,
        deadline: Deadline = .never
    ) async throws(IOError) -> Changes {
        try await changes(of: [path], events, followLinks: followLinks, runtime: runtime, deadline: deadline)
    }
}

/// Watches files and directories, runs `body`, and closes the sequence whatever happens.
///
/// Throws what `body` throws; if that succeeded, what `close` throws.
public func withChanges<R>(
    of paths: [Path], _ events: ChangeEvents = .changes, followLinks: Bool = true, runtime: IORuntime = .shared,
    _ body: (Changes) async throws -> R
) async throws -> R {
    let changes = try await FileSystem.changes(of: paths, events, followLinks: followLinks, runtime: runtime)
    let result: R
    do {
        result = try await body(changes)
    } catch {
        // The first error is the one that tells what happened.
        try? await changes.close()
        throw error
    }
    try await changes.close()
    return result
}

/// Opens an inotify descriptor and adds the watches. Completes with the descriptor, which the caller then owns.
private final class WatchStart: BlockingWork, @unchecked Sendable {
    // @unchecked: as BlockingWork says.
    private let paths: [Path]
    private let mask: UInt32
    /// The first path of each watch.
    private(set) var watches: [Int32: Path] = [:]
    private(set) var failedPath: Path?

    init(_ paths: [Path], _ mask: UInt32, _ deadline: Deadline) throws(IOError) {
        for path in paths where path.hasInteriorNUL {
            throw IOError(.invalidArgument, "inotify", path: path, advice: "the path holds a NUL byte")
        }
        self.paths = paths
        self.mask = mask
        super.init(deadline: deadline.nanoseconds)
    }

    override func run() -> Int {
        let made = Kernel.changeDescriptor()
        guard made >= 0 else { return made }
        let descriptor = Int(GuestNumbers.moveUp(Int32(made)))
        for path in paths {
            let result = shouldEnd ? -Int(ECANCELED) : path.withCString { Kernel.addWatch(Int32(descriptor), $0, mask) }
            guard result >= 0 else {
                failedPath = path
                Kernel.close(Int32(descriptor))
                return result
            }
            if watches[Int32(result)] == nil { watches[Int32(result)] = path }
        }
        return descriptor
    }
}
