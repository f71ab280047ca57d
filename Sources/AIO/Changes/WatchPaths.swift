internal import AIOCore
internal import CKernel

extension FileSystem {
    /// Watches files and directories. The sequence reports what happens after this call returns.
    ///
    /// A directory is watched with its entries, but not recursively. With `followLinks` false a symbolic link itself is
    /// watched. If several paths lead to one file, changes name the first of them. The kernel does not report changes
    /// that other machines make on a network file system, nor those of files in /proc and /sys.
    ///
    /// One operation on a worker. The kernel's limits are the sysctls `fs.inotify.max_user_instances` and
    /// `fs.inotify.max_user_watches`. Kernel calls: inotify_init1(2), inotify_add_watch(2).
    ///
    /// - Throws: the error of inotify_add_watch(2) for the first path that cannot be watched, such as
    ///   ``IOError/Code/notFound``, or ``IOError/Code/noSpace`` at the limit of watches;
    ///   ``IOError/Code/tooManyOpenFiles`` at the limit of instances. Nothing is watched then.
    public static func changes(
        of paths: [Path], _ events: ChangeEvents = .changes, followLinks: Bool = true, runtime: IORuntime = .shared,
        deadline: Deadline = .never
    ) async throws(IOError) -> Changes {
        guard !paths.isEmpty, !events.isEmpty else {
            throw IOError(.invalidArgument, "inotify", advice: "no path or no event to watch is given")
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
            case ENOSPC?: error.advice = "raise the sysctl fs.inotify.max_user_watches"
            case EMFILE?: error.advice = "raise the sysctl fs.inotify.max_user_instances or RLIMIT_NOFILE (ulimit -n)"
            default: break
            }
            throw error
        }
    }

    /// Watches one file or directory. The sequence reports what happens after this call returns. Everything else is as
    /// for several paths: ``changes(of:_:followLinks:runtime:deadline:)-([Path],_,_,_,_)``.
    public static func changes(
        of path: Path, _ events: ChangeEvents = .changes, followLinks: Bool = true, runtime: IORuntime = .shared,
        deadline: Deadline = .never
    ) async throws(IOError) -> Changes {
        try await changes(of: [path], events, followLinks: followLinks, runtime: runtime, deadline: deadline)
    }
}

/// Watches files and directories, runs `body`, and closes the sequence, also if `body` throws.
///
/// - Throws: the errors of ``FileSystem/changes(of:_:followLinks:runtime:deadline:)-([Path],_,_,_,_)``; what `body`
///   throws; if `body` succeeds, the errors of ``Changes/close()``.
public func withChanges<R>(
    of paths: [Path], _ events: ChangeEvents = .changes, followLinks: Bool = true, runtime: IORuntime = .shared,
    _ body: (Changes) async throws -> R
) async throws -> R {
    let changes = try await FileSystem.changes(of: paths, events, followLinks: followLinks, runtime: runtime)
    let result: R
    do {
        result = try await body(changes)
    } catch {
        // The error of `body` is the cause; an error of the close would hide it.
        try? await changes.close()
        throw error
    }
    try await changes.close()
    return result
}

/// Creates an inotify descriptor and adds the watches. Completes with the descriptor, which then belongs to the caller.
private final class WatchStart: BlockingWork, @unchecked Sendable {
    // @unchecked: as BlockingWork says.
    private let paths: [Path]
    private let mask: UInt32
    /// The first path of each watch descriptor.
    private(set) var watches: [Int32: Path] = [:]
    private(set) var failedPath: Path?

    init(_ paths: [Path], _ mask: UInt32, _ deadline: Deadline) throws(IOError) {
        for path in paths where path.hasInteriorNUL {
            throw IOError(.invalidArgument, "inotify", path: path, advice: "the path contains a NUL byte")
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
