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
        case link(to: CopyPlace)
    }

    private struct Known {
        /// nil while the first is on its way.
        var place: CopyPlace?
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
        guard let place = file.place else {
            file.waiting.append((item, directory))
            known[key] = file
            return .wait
        }
        known[key] = file.unseen == 0 ? nil : file
        return .link(to: place)
    }

    /// The first one is there: those that waited for it can be linked.
    mutating func settle(_ key: Key, _ place: CopyPlace) -> [(CopyItem, CopiedDirectory?)] {
        guard var file = known[key] else { return [] }
        defer { known[key] = file.unseen == 0 ? nil : file }
        file.place = place
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

    /// Those that are there: what the next copy may name.
    var completed: CopiedLinks {
        var links = self
        links.known = known.filter { $0.value.place != nil }
        return links
    }
}
