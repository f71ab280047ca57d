import CKernel
import Testing
import UnitSupport

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

    @Test func anEmptyPipeIsAskedEachTime() {
        let pipe = DescriptorPair.pipe()
        let memory = UnsafeMutableRawPointer.allocate(byteCount: 1, alignment: 1)
        defer { memory.deallocate() }
        let transfer = Transfer(Descriptor(pipe.first, kind: .stream), memory, count: 1, offset: 0)
        let guess = CacheGuess()
        for _ in 0..<40 {
            guard case .wait? = transfer.ask(guess) else {
                Issue.record("the empty pipe is not asked")
                return
            }
        }
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
        let others = CacheGuess()
        let ends = (0..<1280).map { _ in others.turn() }
        #expect(ends.count { $0 == .ends } == 10)
        #expect(ends.count { $0 == .mayEnd } == 310)
        #expect(ends[..<4] == [.goesOn, .goesOn, .goesOn, .mayEnd])
    }

    @Test func aStreamThatIsNotReadyPredictsNothing() {
        let guess = CacheGuess()
        for _ in 0..<100 { guess.note(.wait, isStream: true) }
        let isWorthAsking = guess.isWorthAsking()
        #expect(isWorthAsking)
    }

    @Test func eachAnswerIsNotedAsWhatItIs() {
        let refused = CacheGuess()
        refused.note(.refused, isStream: false)
        let askedAgain = attempts(refused, 100_000)
        let missing = CacheGuess()
        for _ in 0..<4 { missing.note(.wait, isStream: false) }
        let isMissing = !missing.isWorthAsking()
        let hit = CacheGuess()
        for _ in 0..<3 { hit.note(.wait, isStream: false) }
        hit.note(.done(-Int(EIO)), isStream: false)
        let afterError = hit.isHitting
        hit.note(.done(0), isStream: false)
        let afterHit = hit.isHitting
        #expect(askedAgain == 0, "the file system does not tell")
        #expect(isMissing)
        #expect(!afterError, "an error says nothing of the cache")
        #expect(afterHit)
    }

    @Test(arguments: [EAGAIN, EINTR])
    func aSocketThatIsNotReadyHasToWait(_ errno: Int32) {
        guard case .wait = Answer(ofSocket: -Int(errno)) else { return _ = Issue.record("it is taken for a result") }
    }

    @Test(arguments: [0, 7, -Int(ECONNRESET)])
    func aResultOfASocketIsFinal(_ result: Int) {
        guard case .done(result) = Answer(ofSocket: result) else { return _ = Issue.record("it is not taken") }
    }
}
