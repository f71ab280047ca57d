import Testing

@testable import AIO
@testable import AIOCore

@Suite struct DeadlineTests {
    @Test func aDeadlineIsNanosecondsOnTheMonotonicClock() {
        let before = Kernel.now()
        let now = Deadline.now
        let after = Kernel.now()
        #expect((before...after).contains(now.nanoseconds))
        #expect((Deadline(nanoseconds: 100) + .nanoseconds(7)).nanoseconds == 107)
        #expect((Deadline(nanoseconds: 100) + .seconds(2)).nanoseconds == 2_000_000_100)
        #expect((Deadline(nanoseconds: 100) + .nanoseconds(-7)).nanoseconds == 93)
    }

    @Test func aDeadlineAfterADurationLiesThatFarFromNow() {
        let before = Kernel.now()
        let deadline = Deadline.after(.milliseconds(5))
        let after = Kernel.now()
        #expect((before + 5_000_000...after + 5_000_000).contains(deadline.nanoseconds))
        #expect(Deadline.after(.seconds(-1)) < .now)
    }

    @Test func anInstantIsTheSamePointOnAnotherClock() {
        let instant = ContinuousClock.now + .seconds(10)
        let before = Kernel.now()
        let deadline = Deadline(instant)
        // At most as far away as before, less the time that has passed in between.
        #expect(deadline.nanoseconds <= Kernel.now() + 10_000_000_000)
        #expect(deadline.nanoseconds > before)
        #expect(Deadline(ContinuousClock.now - .seconds(1)) < .now)
    }

    @Test func neverIsLaterThanEverythingAndStaysNever() {
        #expect(Deadline.now < .never)
        #expect(Deadline.never + .seconds(1) == .never)
        #expect(Deadline.never + .seconds(-1) == .never)
        #expect(Deadline.never.nanoseconds == .never)
    }

    @Test(arguments: [
        .seconds(Int64.max), .seconds(1 << 40), Duration(secondsComponent: .max, attosecondsComponent: 999),
    ])
    func aDurationTooLongToCountLeadsToNever(_ duration: Duration) {
        #expect(Deadline.now + duration == .never)
    }

    @Test(
        arguments: [.seconds(Int64.min), .seconds(-(1 << 40)), .seconds(Int64.min) - .seconds(Int64.max)] as [Duration])
    func aDurationTooFarBackLeadsToTheBeginning(_ duration: Duration) {
        #expect((Deadline.now + duration).nanoseconds == 0)
    }

    @Test func theLastNanosecondIsStillBeforeNever() {
        let last = Nanoseconds.max - 1
        #expect((Deadline(nanoseconds: last - 1) + .nanoseconds(1)).nanoseconds == last)
        #expect(Deadline(nanoseconds: last - 1) + .nanoseconds(3) == .never)
    }
}
