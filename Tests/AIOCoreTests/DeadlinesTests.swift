import Testing

@testable import AIOCore

/// What is due when the time of a slot has come (`Deadlines.event`).
@Suite struct DeadlinesTests {
    private func event(
        _ operation: AIOCore.Operation, deadline: Nanoseconds, at now: Nanoseconds, isPausing: Bool = false
    ) throws -> Deadlines.Event {
        let table = InFlightTable(capacity: 1)
        let token = try #require(table.prepare(operation, context: 0, deadline: deadline))
        #expect(table.stage(token) == .submit)
        if isPausing { table.setPausing(token, true) }
        return Deadlines.event(of: table[token].pointee, now)
    }

    @Test(arguments: [(5, 9), (5, .never), (9, 9)] as [(Nanoseconds, Nanoseconds)])
    func aTimeoutIsDueAtItsTime(_ due: Nanoseconds, _ deadline: Nanoseconds) throws {
        guard case .timeout = try event(.timeout(deadline: due), deadline: deadline, at: due) else {
            return #expect(Bool(false), "the deadline is not earlier")
        }
    }

    /// Also if both have passed when somebody looks.
    @Test(arguments: [5, 9, 20] as [Nanoseconds])
    func aTimeoutWhoseDeadlineIsEarlierEndsByIt(_ now: Nanoseconds) throws {
        guard case .deadline = try event(.timeout(deadline: 9), deadline: 5, at: now) else {
            return #expect(Bool(false), "the deadline is earlier")
        }
    }

    @Test(arguments: [(10, 1, 20), (19, 1, 20), (20, 2, 30), (55, 5, 60)] as [(Nanoseconds, Int32, Nanoseconds)])
    func aRepeatingTimerCountsItsIntervals(_ now: Nanoseconds, _ count: Int32, _ next: Nanoseconds) throws {
        let timer = AIOCore.Operation.repeatingTimeout(first: 10, interval: 10)
        guard case .ticks(count, .repeatingTimeout(next, 10)) = try event(timer, deadline: .never, at: now) else {
            return #expect(Bool(false), "\(count) ticks, and the next at \(next)")
        }
    }

    @Test func aRepeatingTimerEndsAtItsDeadline() throws {
        let timer = AIOCore.Operation.repeatingTimeout(first: 10, interval: 10)
        guard case .deadline = try event(timer, deadline: 7, at: 7) else {
            return #expect(Bool(false), "it is not due before")
        }
    }

    @Test func aPauseEndsInARetryUnlessTheDeadlineHasPassed() throws {
        guard case .retry = try event(.nop, deadline: 9, at: 5, isPausing: true) else {
            return #expect(Bool(false), "the deadline is later")
        }
        guard case .deadline = try event(.nop, deadline: 5, at: 5, isPausing: true) else {
            return #expect(Bool(false), "the deadline has passed")
        }
        guard case .deadline = try event(.nop, deadline: 5, at: 5) else {
            return #expect(Bool(false), "it does not pause")
        }
    }
}
