/// Files with several hard links, which become hard links in the copy.
struct CopiedLinks {
    struct Key: Hashable {
        let device: UInt64
        let inode: UInt64
    }

    enum Step {
        /// The first link: copy the content.
        case copy
        /// The first link is in flight; this one is queued.
        case wait
        case link(to: CopyPlace)
    }

    private struct Known {
        /// nil while the first link is in flight.
        var place: CopyPlace?
        var waiting: [(CopyItem, CopiedDirectory?)] = []
        /// The number of links not seen yet. A file is forgotten when all of its links have been seen.
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

    /// The first link is complete: returns the queued ones, which can be linked now.
    mutating func settle(_ key: Key, _ place: CopyPlace) -> [(CopyItem, CopiedDirectory?)] {
        guard var file = known[key] else { return [] }
        defer { known[key] = file.unseen == 0 ? nil : file }
        file.place = place
        let waiting = file.waiting
        file.waiting = []
        return waiting
    }

    /// The first link failed: the next one becomes the first.
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

    /// The completed links, to which the next copy may link.
    var completed: CopiedLinks {
        var links = self
        links.known = known.filter { $0.value.place != nil }
        return links
    }
}
