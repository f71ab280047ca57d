internal import AIOCore
internal import CKernel

/// An open directory that several share: closed when the last of them lets go.
///
/// A directory has nothing to write back, and its close does not wait: so it may happen on any thread.
final class OpenDirectory: Sendable {
    let number: Int32
    let file: FileIdentity

    init(adopting number: Int32) {
        self.number = number
        file = FileIdentity(ofDescriptor: number)
    }

    deinit { Kernel.close(number) }
}

/// A directory in a tree: known by its name in the one above, and opened by that from the nearest one above that is
/// open. So no path leads to it that others could bend meanwhile, and depth costs little.
///
/// Which directories of a tree are held open between two uses is for its owner to say; the root, and one in some
/// hundred levels, always are. Opened again, it must be the same directory as before.
final class TreeDirectory: @unchecked Sendable {
    // @unchecked: `above` is changed by `deinit` alone; the rest is constant, or under its lock.
    private struct State {
        var open: OpenDirectory?
        var isHeld = true
        /// Known once it has been open.
        var file: FileIdentity?
    }

    private(set) var above: TreeDirectory?
    /// In the directory above; the whole path of the root.
    let name: Path
    let depth: Int
    /// openat2(2)'s O_ flags beside O_DIRECTORY and O_CLOEXEC.
    private let flags: UInt64
    private let followsLinks: Bool
    private let state = Guarded(State())

    /// One in so many levels is never let go: opening another one again is a way of no more than these.
    private static var levelsBetweenAnchors: Int { 256 }

    /// The root. Its own path may lead anywhere; with `followsLinks`, so may names below.
    init(root path: Path, _ flags: UInt64, followsLinks: Bool = false) {
        name = path
        depth = 0
        self.flags = flags
        self.followsLinks = followsLinks
    }

    /// One in `above`, with its flags.
    init(_ name: Path, in above: TreeDirectory) {
        self.above = above
        self.name = name
        depth = above.depth + 1
        flags = above.flags
        followsLinks = above.followsLinks
    }

    deinit {
        // Thousands of levels, each the last to hold the one above, would be as many calls on the stack.
        var next = above.take()
        while next != nil, isKnownUniquelyReferenced(&next) { next = next?.above.take() }
    }

    /// For errors and for callers: what it costs grows with the depth.
    var path: Path {
        var names: [Path] = []
        var current = self
        while let above = current.above {
            names.append(current.name)
            current = above
        }
        return names.reversed().reduce(into: current.name) { $0.append($1) }
    }

    /// Once it has been open: what tells it from others.
    var file: FileIdentity? { state.withLock { $0.file } }

    // MARK: Holding

    /// Stays open from its next use on.
    func hold() { state.withLock { $0.isHeld = true } }

    /// Is open no longer than it is used, but for an anchor.
    func release() {
        guard depth % Self.levelsBetweenAnchors != 0 else { return }
        // What is let go of is closed when the lock is free.
        let closed = state.withLock { state -> OpenDirectory? in
            state.isHeld = false
            return state.open.take()
        }
        _ = consume closed
    }

    /// Is closed, whatever it is, and not held by itself again.
    func end() {
        let closed = state.withLock { state -> OpenDirectory? in
            state.isHeld = false
            return state.open.take()
        }
        _ = consume closed
    }

    /// Takes what was opened elsewhere for this directory.
    func adopt(_ directory: OpenDirectory) {
        state.withLock { state in
            state.file = directory.file
            if state.isHeld { state.open = directory }
        }
    }

    // MARK: Opening, on a worker's thread

    /// The directory, open as long as the caller keeps it; a negative errno if it cannot be had, ESTALE if another one
    /// has its name by now.
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
            // Another one may have been faster.
            let open = state.open ?? found
            state.open = open
            return .success(open)
        }
    }

    /// `way` has the names from the last to the first, the root's path at the end.
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

    /// As many names at once as a path may have bytes.
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
            // Of a name alone the kernel then says ENOTDIR if it is a link by now, as of any other file.
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
