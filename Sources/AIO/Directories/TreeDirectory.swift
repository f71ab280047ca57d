internal import AIOCore
internal import CKernel

/// An open directory with shared ownership, closed with its last reference.
///
/// Closing a directory does not block, since there is nothing to write back; so any thread may do it.
final class OpenDirectory: Sendable {
    let number: Int32
    let file: FileIdentity

    init(adopting number: Int32) {
        self.number = number
        file = FileIdentity(ofDescriptor: number)
    }

    deinit { Kernel.close(number) }
}

/// A directory in a tree. It is identified by its name in the parent directory, and opened relative to the nearest
/// ancestor that is open. Therefore no path is resolved that others could redirect, and depth costs little.
///
/// The owner decides which directories stay open between two uses; the root and one in 256 levels always do. A
/// directory that is opened again must be the same as before.
final class TreeDirectory: @unchecked Sendable {
    // @unchecked: only `deinit` changes `above`; the rest is constant, or under its lock.
    private struct State {
        var open: OpenDirectory?
        var isHeld = true
        /// The directory's identity, known once it has been open.
        var file: FileIdentity?
    }

    private(set) var above: TreeDirectory?
    /// The name in the parent directory; for the root, its whole path.
    let name: Path
    let depth: Int
    /// O_ flags of openat2(2) in addition to O_DIRECTORY and O_CLOEXEC.
    private let flags: UInt64
    private let followsLinks: Bool
    private let state = Guarded(State())

    /// Every level of this distance stays open, so opening another one again traverses at most this many names.
    private static var levelsBetweenAnchors: Int { 256 }

    /// The root. Its path may contain symbolic links; with `followsLinks`, so may the names below.
    init(root path: Path, _ flags: UInt64, followsLinks: Bool = false) {
        name = path
        depth = 0
        self.flags = flags
        self.followsLinks = followsLinks
    }

    /// A directory in `above`, with the same flags.
    init(_ name: Path, in above: TreeDirectory) {
        self.above = above
        self.name = name
        depth = above.depth + 1
        flags = above.flags
        followsLinks = above.followsLinks
    }

    deinit {
        // A loop instead of recursion: thousands of levels that each release their parent would overflow the stack.
        var next = above.take()
        while next != nil, isKnownUniquelyReferenced(&next) { next = next?.above.take() }
    }

    /// The path for errors and for callers. Its cost grows with the depth.
    var path: Path {
        var names: [Path] = []
        var current = self
        while let above = current.above {
            names.append(current.name)
            current = above
        }
        return names.reversed().reduce(into: current.name) { $0.append($1) }
    }

    /// The directory's identity, once it has been open.
    var file: FileIdentity? { state.withLock { $0.file } }

    // MARK: Open and closed

    /// Keeps the directory open from its next use on.
    func hold() { state.withLock { $0.isHeld = true } }

    /// Closes the directory when it is not in use, unless it is an anchor.
    func release() {
        guard depth % Self.levelsBetweenAnchors != 0 else { return }
        // The descriptor is closed after the lock is released.
        let closed = state.withLock { state -> OpenDirectory? in
            state.isHeld = false
            return state.open.take()
        }
        _ = consume closed
    }

    /// Closes the directory, even an anchor, and no longer keeps it open.
    func end() {
        let closed = state.withLock { state -> OpenDirectory? in
            state.isHeld = false
            return state.open.take()
        }
        _ = consume closed
    }

    /// Uses a descriptor of this directory that was opened elsewhere.
    func adopt(_ directory: OpenDirectory) {
        state.withLock { state in
            state.file = directory.file
            if state.isHeld { state.open = directory }
        }
    }

    // MARK: Opening, on a worker's thread

    /// The directory, open as long as the caller keeps it, or a negative errno: ESTALE if another directory has its
    /// name by now.
    func open() -> Result<OpenDirectory, DirectoryFailure> {
        if let open = state.withLock({ $0.open }) { return .success(open) }
        var way: [Path] = [name]
        var next = above
        var start: OpenDirectory?
        while start == nil, let directory = next {
            start = directory.state.withLock { $0.open }
            if start == nil {
                way.append(directory.name)
                next = directory.above
            }
        }
        let opened = start.map { openBelow($0.number, way) } ?? openFromRoot(&way)
        guard opened >= 0 else { return .failure(DirectoryFailure(result: opened)) }
        return keep(OpenDirectory(adopting: Int32(opened)))
    }

    private func keep(_ found: OpenDirectory) -> Result<OpenDirectory, DirectoryFailure> {
        state.withLock { state in
            if let file = state.file, file != found.file { return .failure(DirectoryFailure(result: -Int(ESTALE))) }
            state.file = found.file
            guard state.isHeld else { return .success(found) }
            // Another thread may have opened it first.
            let open = state.open ?? found
            state.open = open
            return .success(open)
        }
    }

    /// `way` has the names from the last to the first, and the root's path at the end.
    private func openFromRoot(_ way: inout [Path]) -> Int {
        let path = way.removeLast()
        let isRoot = way.isEmpty
        let root = path.withCString { memory -> Int in
            let place = LongPath(memory, count: path.count)
            guard place.result == 0 else { return place.result }
            var how = ck_open_how(
                flags: (isRoot ? flags : CK_O_PATH) | CK_O_DIRECTORY | CK_O_CLOEXEC, mode: 0, resolve: 0)
            return Kernel.openat2(place.directory, place.rest, &how)
        }
        guard root >= 0, !isRoot else { return root }
        defer { Kernel.close(Int32(root)) }
        return openBelow(Int32(root), way)
    }

    /// Resolves as many names at once as fit into a path: 4096 bytes with the NUL (PATH_MAX).
    private func openBelow(_ start: Int32, _ way: [Path]) -> Int {
        var current = start
        defer { if current != start { Kernel.close(current) } }
        var left = way[...]
        while true {
            var piece = left.removeLast()
            while let name = left.last, piece.count + 1 + name.count < 4096 {
                piece.append(name)
                left.removeLast()
            }
            let isLast = left.isEmpty
            let own = (isLast ? flags : CK_O_PATH) | (followsLinks ? 0 : CK_O_NOFOLLOW)
            // For a single name without RESOLVE_NO_SYMLINKS, the kernel fails with ENOTDIR if the directory has been
            // replaced by a symbolic link, as for any other file.
            let isName = way.count == 1
            var how = ck_open_how(
                flags: own | CK_O_DIRECTORY | CK_O_CLOEXEC, mode: 0,
                resolve: followsLinks || isName ? 0 : CK_RESOLVE_NO_SYMLINKS)
            let opened = piece.withCString { Kernel.openat2(current, $0, &how) }
            guard opened >= 0, !isLast else { return opened }
            if current != start { Kernel.close(current) }
            current = Int32(opened)
        }
    }
}

/// Why a directory could not be opened: a negative errno.
struct DirectoryFailure: Error {
    let result: Int
}
