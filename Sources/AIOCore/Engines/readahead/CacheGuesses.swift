/// Whether the page cache is worth asking for what an engine was given, by the number of the descriptor: several share
/// a guess.
struct CacheGuesses: ~Copyable {
    private let guesses: UnsafeMutablePointer<CacheGuess>
    private static var count: Int { 64 }

    init() {
        guesses = .allocate(capacity: Self.count)
        for index in 0..<Self.count { (guesses + index).initialize(to: CacheGuess()) }
    }

    deinit {
        guesses.deinitialize(count: Self.count)
        guesses.deallocate()
    }

    func isWorthAsking(_ number: Int32) -> Bool { guess(number).pointee.isWorthAsking() }

    func note(isHit: Bool, _ number: Int32) {
        if isHit { guess(number).pointee.noteHit() } else { guess(number).pointee.noteMiss() }
    }

    private func guess(_ number: Int32) -> UnsafeMutablePointer<CacheGuess> {
        guesses + Int(UInt32(bitPattern: number)) % Self.count
    }
}
