internal import AIOCore

/// The state shared by copies that belong together; pass it to several copies to treat their sources as one. Hard links
/// of one file remain hard links of one file across the copies, and no copy replaces a file that another one created.
///
/// One copy uses it at a time.
public final class CopiedFiles: Sendable {
    private let state = Guarded<CopiedLinks?>(CopiedLinks())
    let made = MadeNames(isAll: false)

    /// The state of copies that have not begun.
    public init() {}

    /// Throws if another copy uses it.
    func begin(_ source: Path) throws(IOError) -> CopiedLinks {
        guard let links = state.withLock({ $0.take() }) else {
            throw IOError(.invalidArgument, "copy", path: source, advice: "another copy is using these CopiedFiles")
        }
        return links
    }

    func end(_ links: consuming CopiedLinks) {
        let links = links.completed
        state.withLock { $0 = links }
    }
}

/// The files created in a directory, which later files must not replace.
final class MadeNames: Sendable {
    struct Names {
        /// Whether the directory itself was created by this copy, and so everything in it.
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
    /// In a new directory the kernel prevents replacements (RENAME_NOREPLACE), and no lock is needed.
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
