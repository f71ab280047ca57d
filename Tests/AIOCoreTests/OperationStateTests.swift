import Testing

@testable import AIOCore

/// The state transitions of an operation (`InFlightTable.State.mayBecome`).
@Suite struct OperationStateTests {
    typealias State = InFlightTable.State

    /// The successors of each state. The table is repeated here, so that a change of one table alone fails.
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

    /// Every operation can end, and every slot can be reused.
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
