internal import AIOCore
internal import CKernel

/// A directory of a tree that is copied: open for writing until all that goes into it is there, and then given what its
/// source has. The task that copies the tree alone touches it.
final class CopiedDirectory: @unchecked Sendable {
    // @unchecked: see above; to others it is handed on to come back.
    let source: Path
    let target: Path
    let depth: Int
    let above: CopiedDirectory?
    /// Files and directories on their way into it, and 1 while its source is read.
    var pendingCount = 1

    init(_ source: Path, _ target: Path, depth: Int, above: CopiedDirectory?) {
        self.source = source
        self.target = target
        self.depth = depth
        self.above = above
        above?.pendingCount += 1
    }

    /// Makes it for its owner alone; one that is there is taken as it is.
    func make(_ session: CopySession, _ deadline: Deadline) -> CopyStep {
        CopyStep(deadline) { [self] _ throws(IOError) in
            let result = CopyCalls.makeDirectory(target, session.options.keepsMetadata ? 0o700 : 0o777)
            guard result == -Int(EEXIST) else {
                _ = try check(result, "mkdir", target)
                return
            }
            var status = ck_statx()
            // Below, a link may lead anywhere; at the top it is what the caller named.
            _ = try check(CopyCalls.status(of: target, followLinks: depth == 0, &status), "stat", target)
            guard FileType(mode: status.mode) == .directory else {
                throw IOError(
                    .alreadyExists, "mkdir", errno: Errno(rawValue: EEXIST), path: target,
                    advice: "it is there, and no directory")
            }
        }
    }

    /// Attributes and durability, once everything is in it.
    func finish(_ session: CopySession, _ deadline: Deadline) -> CopyStep {
        CopyStep(deadline) { [self] _ throws(IOError) in
            guard session.options.keepsMetadata || session.options.sync else { return }
            let opened = CopyCalls.open(target, CK_O_RDONLY | CK_O_DIRECTORY)
            let descriptor = Int32(try check(opened, "open", target))
            defer { Kernel.close(descriptor) }
            try keepMetadata(descriptor, session)
            if session.options.sync { _ = try check(Kernel.fsync(descriptor), "fsync", target) }
        }
    }

    private func keepMetadata(_ descriptor: Int32, _ session: CopySession) throws(IOError) {
        guard session.options.keepsMetadata else { return }
        var status = ck_statx()
        _ = try check(CopyCalls.status(of: source, followLinks: depth == 0, &status), "stat", source)
        // One without permission to read it has been reported, and is copied as far as it goes: with what it has.
        let opened = CopyCalls.open(source, CK_O_RDONLY | CK_O_DIRECTORY)
        defer { if opened >= 0 { Kernel.close(Int32(opened)) } }
        try CopiedMetadata(status: status, session: session).apply(to: descriptor, from: Int32(opened), target)
    }
}

/// Names of files that have several, so that the copies are one file too.
struct CopiedLinks {
    struct Key: Hashable {
        let device: UInt64
        let inode: UInt64
    }

    enum Step {
        /// The first name: the content is to be copied.
        case copy
        /// The first one is on its way; this one is remembered.
        case wait
        case link(to: Path)
    }

    private struct Known {
        /// nil while the first is on its way.
        var path: Path?
        var waiting: [(CopyItem, CopiedDirectory?)] = []
        /// Names that have not been seen. A file whose names are all seen is forgotten.
        var unseen: UInt32
    }

    private var known: [Key: Known] = [:]

    mutating func add(_ key: Key, linkCount: UInt32, _ item: CopyItem, _ directory: CopiedDirectory?) -> Step {
        guard var file = known[key] else {
            known[key] = Known(unseen: linkCount - 1)
            return .copy
        }
        file.unseen = file.unseen > 0 ? file.unseen - 1 : 0
        guard let path = file.path else {
            file.waiting.append((item, directory))
            known[key] = file
            return .wait
        }
        known[key] = file.unseen == 0 ? nil : file
        return .link(to: path)
    }

    /// The first one is there: those that waited for it can be linked.
    mutating func settle(_ key: Key, _ path: Path) -> [(CopyItem, CopiedDirectory?)] {
        guard var file = known[key] else { return [] }
        defer { known[key] = file.unseen == 0 ? nil : file }
        file.path = path
        let waiting = file.waiting
        file.waiting = []
        return waiting
    }

    /// The first one failed: the next is the first now.
    mutating func fail(_ key: Key) -> (CopyItem, CopiedDirectory?)? {
        guard var file = known[key] else { return nil }
        guard !file.waiting.isEmpty else {
            known[key] = nil
            return nil
        }
        let next = file.waiting.removeFirst()
        known[key] = file
        return next
    }
}
