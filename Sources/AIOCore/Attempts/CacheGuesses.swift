/// The cache guesses of an engine, by descriptor number; several numbers share a guess.
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

    func ask(_ transfer: Transfer) -> Answer? {
        let guess = guess(transfer.descriptor.number)
        let answer = transfer.ask(guess.pointee)
        // Only for a while: the number may be reused for another file.
        if case .refused? = answer { guess.pointee.notePause() }
        return answer
    }

    private func guess(_ number: Int32) -> UnsafeMutablePointer<CacheGuess> {
        guesses + Int(UInt32(bitPattern: number)) % Self.count
    }
}
