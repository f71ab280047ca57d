import Testing

@testable import AIOCore

@Suite struct CacheGuessTests {
    /// The number of attempts made out of `count` if all of them miss.
    private func attempts(_ guess: borrowing CacheGuess, _ count: Int) -> Int {
        var attempts = 0
        for _ in 0..<count where guess.isWorthAsking() {
            attempts += 1
            guess.noteMiss()
        }
        return attempts
    }

    @Test func aFileThatHitsIsAlwaysAsked() {
        let guess = CacheGuess()
        for _ in 0..<1000 {
            let isWorthAsking = guess.isWorthAsking()
            #expect(isWorthAsking)
            guess.noteHit()
        }
    }

    @Test func aFileThatKeepsMissingIsAskedNowAndThen() {
        let guess = CacheGuess()
        let first = attempts(guess, 4)
        let pause = attempts(guess, 32)
        let later = attempts(guess, 33 * 10)
        #expect(first == 4)
        #expect(pause == 0)
        #expect(later == 10, "once after each pause")
    }

    @Test func oneHitEndsTheDoubts() {
        let guess = CacheGuess()
        _ = attempts(guess, 4 + 32)
        let isAsked = guess.isWorthAsking()
        guess.noteHit()
        let afterwards = attempts(guess, 4)
        #expect(isAsked)
        #expect(afterwards == 4, "as many misses as at the beginning")
    }

    @Test func missesBetweenHitsDoNotAddUp() {
        let guess = CacheGuess()
        for _ in 0..<100 {
            let isWorthAsking = guess.isWorthAsking()
            #expect(isWorthAsking)
            guess.noteMiss()
            guess.noteHit()
        }
    }

    @Test func aFileSystemThatCannotTellIsNotAskedAgain() {
        let guess = CacheGuess()
        guess.noteUnsupported()
        let later = attempts(guess, 100_000)
        #expect(later == 0)
    }

    @Test func aTurnIsUsedUpNowAndThen() {
        let guess = CacheGuess()
        let turns = (0..<1280).count { _ in guess.isTurnUsedUp() }
        #expect(turns == 10)
    }
}
