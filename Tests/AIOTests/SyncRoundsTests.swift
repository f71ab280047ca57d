import Testing
import UnitSupport

@testable import AIO
@testable import AIOCore

@Suite struct SyncRoundsTests {
    @Test func whoIsAloneBeginsAtOnce() {
        var rounds = SyncRounds<String>()
        let begins = rounds.beginAlone()
        #expect(begins)
        let (answered, next) = rounds.endRound()
        #expect(answered.isEmpty)
        #expect(next == nil)
        #expect(!rounds.isRunning)
    }

    @Test func whoComesWhileOneRunsIsNotAnsweredByIt() {
        var rounds = SyncRounds<String>()
        _ = rounds.beginAlone()
        let begins = rounds.beginAlone()
        #expect(!begins)
        rounds.wait(1, .data, "first")
        let (answered, next) = rounds.endRound()
        #expect(answered.isEmpty, "the round that ended began before")
        #expect(next == .data)
        // This call comes during the second round, so the third round answers it.
        rounds.wait(2, .data, "second")
        let (second, third) = rounds.endRound()
        #expect(second == ["first"])
        #expect(third == .data)
        let (last, none) = rounds.endRound()
        #expect(last == ["second"])
        #expect(none == nil)
        #expect(!rounds.isRunning)
    }

    @Test func allWhoWaitShareOneRound() {
        var rounds = SyncRounds<UInt64>()
        _ = rounds.beginAlone()
        for id in 1...100 as ClosedRange<UInt64> { rounds.wait(id, .full, id) }
        _ = rounds.endRound()
        let (answered, next) = rounds.endRound()
        #expect(answered == Array(1...100))
        #expect(next == nil)
    }

    @Test func aFullSyncSatisfiesThoseWhoWantData() {
        let cases: [([SyncLevel], SyncLevel)] = [
            ([.data], .data), ([.data, .data], .data), ([.data, .full, .data], .full), ([.full], .full),
        ]
        for (levels, expected) in cases {
            var rounds = SyncRounds<Int>()
            _ = rounds.beginAlone()
            for (index, level) in levels.enumerated() { rounds.wait(UInt64(index), level, index) }
            #expect(rounds.endRound().next == expected, "\(levels)")
        }
    }

    @Test func whoLeavesTakesNobodyAlong() {
        var rounds = SyncRounds<String>()
        _ = rounds.beginAlone()
        rounds.wait(1, .data, "stays")
        rounds.wait(2, .full, "leaves early")
        rounds.wait(3, .data, "leaves late")
        #expect(rounds.leave(2) == "leaves early")
        #expect(rounds.leave(2) == nil)
        #expect(rounds.endRound().next == .data, "nobody wants a full one any more")
        #expect(rounds.leave(3) == "leaves late")
        #expect(rounds.endRound().answered == ["stays"])
    }

    @Test func aRoundThatNobodyWaitsForAnyMoreDoesNotBegin() {
        var rounds = SyncRounds<String>()
        _ = rounds.beginAlone()
        rounds.wait(1, .data, "leaves")
        _ = rounds.leave(1)
        #expect(rounds.endRound().next == nil)
        #expect(!rounds.isRunning)
    }

    /// A round that all callers have left ends like any other.
    @Test func aRunningRoundOutlivesThoseWhoLeave() {
        var rounds = SyncRounds<String>()
        _ = rounds.beginAlone()
        rounds.wait(1, .data, "leaves")
        _ = rounds.endRound()
        #expect(rounds.leave(1) == "leaves")
        #expect(rounds.isRunning)
        let begins = rounds.beginAlone()
        #expect(!begins)
        #expect(rounds.endRound().answered.isEmpty)
        #expect(!rounds.isRunning)
    }

    /// Every caller is answered by a round that began after the call, at a sufficient level.
    @Test func everyAnswerComesFromARoundThatBeganAfterTheCall() {
        var random = SeededGenerator("sync rounds")
        var rounds = SyncRounds<(calledInRound: Int, level: SyncLevel)>()
        var round = 0
        var level = SyncLevel.full
        _ = rounds.beginAlone()
        for id in 0..<2000 as Range<UInt64> {
            switch Int.random(in: 0..<4, using: &random) {
            case 0:
                let (answered, next) = rounds.endRound()
                for caller in answered {
                    #expect(caller.calledInRound < round)
                    #expect(level == .full || caller.level == .data)
                }
                round += 1
                level = next ?? .full
                if next == nil { _ = rounds.beginAlone() }
            case 1:
                _ = rounds.leave(UInt64.random(in: 0...id, using: &random))
            default:
                let wanted = Bool.random(using: &random) ? SyncLevel.full : .data
                rounds.wait(id, wanted, (round, wanted))
            }
        }
    }
}

@Suite struct AlarmsTests {
    @Test func anAlarmIsCalledOnceWhenItsDeadlineHasPassed() {
        let alarms = Alarms()
        let order = Order()
        _ = alarms.set(200) { order.note("late") }
        _ = alarms.set(100) { order.note("early") }
        #expect(alarms.nextDeadline == 100)
        alarms.expire(99)
        #expect(order.notes == [])
        alarms.expire(100)
        #expect(order.notes == ["early"])
        #expect(alarms.nextDeadline == 200)
        alarms.expire(1000)
        alarms.expire(1000)
        #expect(order.notes == ["early", "late"])
        #expect(alarms.nextDeadline == .never)
    }

    @Test func aRemovedAlarmIsNotCalled() {
        let alarms = Alarms()
        let order = Order()
        let first = alarms.set(100) { order.note("first") }
        _ = alarms.set(100) { order.note("second") }
        alarms.remove(first)
        alarms.expire(100)
        #expect(order.notes == ["second"])
        alarms.remove(first)
    }
}
