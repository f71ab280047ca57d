/// How much of the unsynced data of one file a crash leaves.
private enum Tendency {
    case nothing, everything
    /// Each page, or each sector, by itself.
    case pages, sectors

    init(_ random: inout SimulatedRandom) {
        let all: [Tendency] = [.nothing, .everything, .pages, .sectors, .sectors]
        self = all[random.below(all.count)]
    }
}

extension FileImage {
    private static var sectorsPerPage: Int { FilePage.size / FilePage.sectorSize }

    // MARK: Ordered

    /// Of the sectors within the size on the device any may have been written back since; the size may have grown, with
    /// all data up to it.
    func survivor(choosing random: inout SimulatedRandom) -> FileImage {
        let tendency = Tendency(&random)
        let newSize = Self.chooseSize(savedSize, size, step: FilePage.size, tendency, &random)
        var result = saved
        for index in unsynced.keys.sorted() {
            guard let page = unsynced[index] else { continue }
            let candidates = [page.saved] + page.versions + [pages[index]]
            let whole = random.below(candidates.count)
            var chosen = page.saved
            for sector in 0..<Self.sectorsPerPage {
                let end = Int64(index * FilePage.size + (sector + 1) * FilePage.sectorSize)
                let isAppended = end > savedSize && newSize > savedSize
                let choice = tendency.choice(of: candidates.count, page: whole, &random)
                chosen.copySector(sector, of: candidates[isAppended ? candidates.count - 1 : choice])
            }
            result[index] = chosen
        }
        return FileImage(surviving: result, cutAt: newSize)
    }

    /// What the device has for certain, or by an old failure.
    private var saved: [Int: FilePage] {
        var result = written
        for (index, page) in unsynced { result[index] = page.saved }
        return result
    }

    /// What the device has once everything is written back that will be.
    private var written: [Int: FilePage] {
        var result = pages
        for (index, page) in lost { result[index] = page }
        return result
    }

    private static func chooseSize(
        _ saved: Int64, _ size: Int64, step: Int, _ tendency: Tendency, _ random: inout SimulatedRandom
    ) -> Int64 {
        let (least, most) = (min(saved, size), max(saved, size))
        switch tendency {
        case .nothing: return saved
        case .everything: return size
        case .pages, .sectors:
            guard !random.oneIn(3) else { return random.oneIn(2) ? saved : size }
            let steps = (most - least) / Int64(step)
            guard steps > 0 else { return random.oneIn(2) ? saved : size }
            let position = (least / Int64(step) + 1 + Int64(random.below(Int(steps)))) * Int64(step)
            return min(position, most)
        }
    }

    // MARK: POSIX

    /// The images are the file's states in between the changes of structure since the last sync. Each sector may be of
    /// any of them, and in any of its versions; so may the size, or lie between two.
    static func looseSurvivor(of images: ArraySlice<FileImage>, choosing random: inout SimulatedRandom) -> FileImage {
        let tendency = Tendency(&random)
        guard let first = images.first, let last = images.last else { return FileImage() }
        let size: Int64
        switch tendency {
        case .nothing: size = first.savedSize
        case .everything: size = last.size
        case .pages, .sectors:
            let image = images[images.startIndex + random.below(images.count)]
            size = chooseSize(image.savedSize, image.size, step: FilePage.sectorSize, tendency, &random)
        }
        var result = tendency == .everything ? last.written : first.saved
        guard tendency == .pages || tendency == .sectors else {
            return FileImage(surviving: result, cutAt: size)
        }
        for index in changedPages(images) {
            let candidates = images.flatMap { $0.versions(of: index) }
            let whole = random.below(candidates.count)
            var chosen = candidates[0]
            for sector in 0..<sectorsPerPage {
                chosen.copySector(
                    sector, of: candidates[tendency.choice(of: candidates.count, page: whole, &random)])
            }
            result[index] = chosen
        }
        return FileImage(surviving: result, cutAt: size)
    }

    private func versions(of index: Int) -> [FilePage?] {
        guard let page = unsynced[index] else { return [lost[index] ?? pages[index]] }
        return [page.saved] + page.versions + [pages[index]]
    }

    /// The pages that are not the same in all images, ascending.
    private static func changedPages(_ images: ArraySlice<FileImage>) -> [Int] {
        var all: Set<Int> = []
        for image in images { all.formUnion(image.unsynced.keys) }
        if images.count > 1 { for image in images { all.formUnion(image.pages.keys) } }
        return all.sorted()
    }

    /// Without the pages, and the bytes, behind the end.
    private init(surviving pages: [Int: FilePage], cutAt size: Int64) {
        let (boundary, used) = (Int(size / Int64(FilePage.size)), Int(size % Int64(FilePage.size)))
        var kept = pages.filter { $0.key < boundary || ($0.key == boundary && used > 0) || $0.value.bytes == nil }
        kept[boundary]?.clear(from: used)
        self.init(surviving: kept, size: size)
    }
}

extension Tendency {
    fileprivate func choice(of count: Int, page: Int, _ random: inout SimulatedRandom) -> Int {
        switch self {
        case .nothing: 0
        case .everything: count - 1
        case .pages: page
        case .sectors: random.below(count)
        }
    }
}
