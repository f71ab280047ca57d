internal import CKernel

/// What the engine believes of files that it was given reads of, by the number of their descriptors. Several share a
/// place, and a number may name another file by now: nothing but time hangs on it.
struct FileGuesses: ~Copyable {
    private struct Place: ~Copyable {
        let cache = CacheGuess()
        var number: Int32 = -1
        var isLocal = true
        /// How often `isLocal` is believed yet.
        var credit = 0
    }

    private let places: UnsafeMutablePointer<Place>
    private static var count: Int { 64 }
    private static var credit: Int { 64 }

    init() {
        places = .allocate(capacity: Self.count)
        for index in 0..<Self.count { (places + index).initialize(to: Place()) }
    }

    deinit { places.deallocate() }

    /// Whether the page cache is worth asking before anything else.
    func isWorthAsking(_ number: Int32) -> Bool { place(number).pointee.cache.isWorthAsking() }

    func note(isHit: Bool, _ number: Int32) {
        if isHit { place(number).pointee.cache.noteHit() } else { place(number).pointee.cache.noteMiss() }
    }

    /// Whether no other machine, and no program, stands behind the file.
    func isLocal(_ number: Int32) -> Bool {
        let place = place(number)
        if place.pointee.number != number || place.pointee.credit == 0 {
            place.pointee.number = number
            place.pointee.isLocal = Kernel.isLocal(number)
            place.pointee.credit = Self.credit
        }
        place.pointee.credit -= 1
        return place.pointee.isLocal
    }

    private func place(_ number: Int32) -> UnsafeMutablePointer<Place> {
        places + Int(UInt32(bitPattern: number)) % Self.count
    }
}
