import Testing
import UnitSupport

@testable import AIO

@Suite struct CacheGuessTests {
    /// How many of `count` attempts are made, if all of them miss.
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

@Suite struct FileLeaseTests {
    /// `~Copyable`, and tasks share it.
    private final class Shared: Sendable {
        let lease = FileLease()
        func begin() -> Bool { lease.begin() }
        func end() { lease.end() }
        func close() -> Bool { lease.close() }
        var isClosed: Bool { lease.isClosed }
    }

    @Test func usersBeginUntilItIsClosed() {
        let lease = Shared()
        #expect(lease.begin())
        #expect(lease.begin())
        lease.end()
        #expect(!lease.isClosed)
        #expect(lease.close())
        #expect(lease.isClosed)
        #expect(!lease.begin())
        lease.end()
    }

    @Test func onlyOneCloses() {
        let lease = Shared()
        #expect(lease.close())
        #expect(!lease.close())
        #expect(lease.isClosed)
    }

    @Test func withoutUsersTheCloserNeedNotWait() async {
        let lease = Shared()
        #expect(lease.close())
        await lease.lease.waitForUsers()
    }

    @Test func theCloserWaitsForTheLastUser() async {
        let lease = Shared()
        let order = Order()
        #expect(lease.begin())
        #expect(lease.begin())
        #expect(lease.close())
        let closer = Task {
            await lease.lease.waitForUsers()
            order.note("closed")
        }
        order.note("first")
        lease.end()
        // A refused newcomer is no user, and its refusal no end.
        #expect(!lease.begin())
        order.note("second")
        lease.end()
        await closer.value
        #expect(order.notes == ["first", "second", "closed"])
    }

    @Test func underManyTasksNobodyUsesWhatIsClosed() async {
        for _ in 0..<200 {
            let lease = Shared()
            let order = Order()
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        while lease.begin() {
                            if !order.notes.isEmpty { Issue.record("begun after the end") }
                            lease.end()
                            await Task.yield()
                        }
                    }
                }
                group.addTask {
                    #expect(lease.close())
                    await lease.lease.waitForUsers()
                    order.note("closed")
                }
            }
            #expect(order.notes == ["closed"])
        }
    }
}
