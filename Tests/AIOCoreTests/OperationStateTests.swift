import Testing

@testable import AIOCore

/// The table of an operation's states (`InFlightTable.State.mayBecome`).
@Suite struct OperationStateTests {
    typealias State = InFlightTable.State

    /// What each state may become; written down a second time, so that the table changes in two places or in none.
    static let successors: [State: Set<State>] = [
        .unstaged: [.submitted, .completed],
        .submitted: [.awaitingReadiness, .pausing, .held, .stepping, .writing, .completed],
        .awaitingReadiness: [.submitted, .stepping, .writing, .completed],
        .pausing: [.submitted, .completed],
        .held: [.submitted, .completed],
        .stepping: [.awaitingReadiness, .resting, .completed],
        .writing: [.awaitingReadiness, .completed],
        .resting: [.stepping],
        .completed: [.unstaged],
    ]

    @Test(arguments: State.allCases)
    func aStateBecomesWhatTheTableAllowsAndNothingElse(_ state: State) {
        let allowed = Set(State.allCases.filter { state.mayBecome($0) })
        #expect(allowed == Self.successors[state])
    }

    /// Every operation ends, and every place is used again.
    @Test(arguments: State.allCases)
    func everyStateLeadsToTheEndAndBackToTheBeginning(_ state: State) {
        var reached: Set<State> = [state]
        while true {
            let next = reached.union(reached.flatMap { Self.successors[$0] ?? [] })
            if next == reached { break }
            reached = next
        }
        #expect(reached.contains(.completed) && reached.contains(.unstaged))
    }

    #if DEBUG
        @Test func aChangeThatTheTableDoesNotAllowEndsADebugBuild() async {
            await #expect(processExitsWith: .failure) {
                let table = InFlightTable(capacity: 1)
                let token = table.acquire()!
                table.setResting(token)
            }
        }
    #endif
}
