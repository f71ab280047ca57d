internal import AIOCore

/// What copies that belong together have made: handed to several, they treat what they copy as one. Names of one file
/// stay names of one file, whichever copies they are in, and what one copy of a file has made, none of the others
/// replaces.
///
/// It is for one copy at a time.
public final class CopiedFiles: Sendable {
    private let state = Guarded<CopiedLinks?>(CopiedLinks())
    let made = MadeNames(isAll: false)

    public init() {}

    /// Throws if another copy has it.
    func begin(_ source: Path) throws(IOError) -> CopiedLinks {
        guard let links = state.withLock({ $0.take() }) else {
            throw IOError(.invalidArgument, "copy", path: source, advice: "another copy has its CopiedFiles")
        }
        return links
    }

    func end(_ links: consuming CopiedLinks) {
        let links = links.completed
        state.withLock { $0 = links }
    }
}

/// What was made in a folder, so that nothing of it is replaced by what is made later.
final class MadeNames: Sendable {
    struct Names {
        /// All that is in the folder: it was made just now itself.
        let isAll: Bool
        private var files: Set<Key> = []

        init(isAll: Bool) { self.isAll = isAll }

        private struct Key: Hashable {
            let device: UInt64
            let inode: UInt64
        }

        var wantsEach: Bool { !isAll }

        func contain(_ file: FileIdentity) -> Bool {
            isAll || files.contains(Key(device: file.device, inode: file.inode))
        }

        mutating func add(_ file: FileIdentity) { files.insert(Key(device: file.device, inode: file.inode)) }
    }

    private let names: Guarded<Names>
    /// The kernel sees to it that nothing is replaced where all is new: nobody need wait for anybody.
    let isAll: Bool

    init(isAll: Bool) {
        names = Guarded(Names(isAll: isAll))
        self.isAll = isAll
    }

    func change(_ body: (inout Names) throws(IOError) -> Void) throws(IOError) {
        guard !isAll else {
            var all = Names(isAll: true)
            return try body(&all)
        }
        try names.withLock { names throws(IOError) in try body(&names) }
    }
}
