import Testing
import UnitSupport

@testable import AIOCore

@Suite struct InFlightTableTests {
    private func submitted(in table: InFlightTable) throws -> Token {
        let token = try #require(table.acquire())
        #expect(table.stage(token) == .submit)
        return token
    }

    // MARK: Acquiring

    @Test func everySlotIsAcquiredOnceAndThenNoMore() {
        let table = InFlightTable(capacity: 5)
        let tokens = (0..<5).compactMap { _ in table.acquire() }
        #expect(Set(tokens.map(\.slot)) == [0, 1, 2, 3, 4])
        #expect(table.acquire() == nil)
    }

    @Test func prepareFillsTheSlotIn() throws {
        let table = InFlightTable(capacity: 1)
        let token = try #require(table.prepare(.timeout(deadline: 7), context: 8, deadline: 9))
        let slot = table[token].pointee
        guard case .timeout(deadline: 7) = slot.operation else { return #expect(Bool(false), "\(slot.operation)") }
        #expect(slot.context == 8)
        #expect(slot.deadline == 9)
        #expect(slot.state == .unstaged)
        #expect(table.prepare(.nop, context: 0, deadline: .never) == nil)
    }

    // MARK: The life of an operation

    @Test func anOperationGoesFromUnstagedToSubmittedToCompletedAndBack() throws {
        let table = InFlightTable(capacity: 1)
        let token = try #require(table.acquire())
        #expect(table[token].pointee.state == .unstaged)
        #expect(table.stage(token) == .submit)
        #expect(table[token].pointee.state == .submitted)
        table.complete(token)
        #expect(table[token].pointee.state == .completed)
        table.release(token)
        #expect(table[token].pointee.state == .unstaged)
        #expect(table.acquire() != nil)
    }

    @Test func anOperationMayAwaitReadinessAndGoOn() throws {
        let table = InFlightTable(capacity: 1)
        let token = try submitted(in: table)
        table.setAwaitingReadiness(token, true)
        #expect(table[token].pointee.state == .awaitingReadiness)
        table.setAwaitingReadiness(token, false)
        #expect(table[token].pointee.state == .submitted)
    }

    @Test func anOperationMayCompleteWhileItAwaitsReadiness() throws {
        let table = InFlightTable(capacity: 1)
        let token = try submitted(in: table)
        table.setAwaitingReadiness(token, true)
        table.complete(token)
        #expect(table[token].pointee.state == .completed)
    }

    // MARK: Cancelling

    @Test func cancelBeforeStagingEndsTheOperationWhenItIsStaged() throws {
        let table = InFlightTable(capacity: 1)
        let token = try #require(table.acquire())
        #expect(table.requestCancel(token) == .endsWhenStaged)
        #expect(table.requestCancel(token) == .requestedBefore)
        #expect(table.stage(token) == .cancelledBefore)
        #expect(table[token].pointee.state == .completed)
    }

    @Test func cancelOfASubmittedOperationAsksTheEngineOnce() throws {
        let table = InFlightTable(capacity: 1)
        let token = try submitted(in: table)
        #expect(table.requestCancel(token) == .askEngine)
        #expect(table.requestCancel(token) == .requestedBefore)
        #expect(table[token].pointee.state == .submitted, "only its completion ends it")
    }

    @Test func cancelOfAnOperationAwaitingReadinessAsksTheEngine() throws {
        let table = InFlightTable(capacity: 1)
        let token = try submitted(in: table)
        table.setAwaitingReadiness(token, true)
        #expect(table.requestCancel(token) == .askEngine)
    }

    @Test func cancelOfACompletedOperationNamesNothing() throws {
        let table = InFlightTable(capacity: 1)
        let token = try submitted(in: table)
        table.complete(token)
        #expect(table.requestCancel(token) == .unknown)
        #expect(!table[token].pointee.isCancelRequested)
    }

    // MARK: Tokens

    @Test func aTokenKeptAfterReleaseNamesNothing() throws {
        let table = InFlightTable(capacity: 1)
        let old = try submitted(in: table)
        table.complete(old)
        table.release(old)
        #expect(table.find(old) == nil)
        #expect(table.requestCancel(old) == .unknown)

        let new = try submitted(in: table)
        #expect(new.slot == old.slot)
        #expect(new != old)
        #expect(table.requestCancel(old) == .unknown, "the slot's new operation is another")
        #expect(!table[new].pointee.isCancelRequested)
        #expect(table.find(new) != nil)
    }

    @Test func releaseForgetsWhatTheLastOperationWasTold() throws {
        let table = InFlightTable(capacity: 1)
        let old = try submitted(in: table)
        _ = table.requestCancel(old)
        table[old].pointee.isDeadlinePassed = true
        table.complete(old)
        table.release(old)
        let new = try #require(table.acquire())
        #expect(!table[new].pointee.isCancelRequested)
        #expect(!table[new].pointee.isDeadlinePassed)
        #expect(table.stage(new) == .submit)
    }

    @Test func aSlotOutOfRangeNamesNothing() {
        let table = InFlightTable(capacity: 2)
        #expect(table.find(Token(slot: 2, generation: 0)) == nil)
        #expect(table.requestCancel(Token(slot: .max, generation: 0)) == .unknown)
    }

    /// The top bit of a token is reserved for the engines.
    @Test func generationsWrapAfterThirtyOneBits() throws {
        let table = InFlightTable(capacity: 1, generation: 0x7fff_fffe)
        var generations: [UInt32] = []
        for _ in 0..<4 {
            let token = try submitted(in: table)
            #expect(token.rawValue >> 63 == 0)
            #expect(table.find(token) != nil)
            generations.append(token.generation)
            table.complete(token)
            table.release(token)
            #expect(table.find(token) == nil)
        }
        #expect(generations == [0x7fff_fffe, 0x7fff_ffff, 0, 1])
    }

    @Test func onlyWhatTheEngineHasIsListedAsSubmitted() throws {
        let table = InFlightTable(capacity: 4)
        let tokens = try (0..<4).map { _ in try #require(table.acquire()) }
        for token in tokens[1...] { #expect(table.stage(token) == .submit) }
        table.setAwaitingReadiness(tokens[2], true)
        table.complete(tokens[3])
        let listed = (0..<4).compactMap { table.submittedToken(at: $0) }
        #expect(Set(listed) == [tokens[1], tokens[2]])
    }

    @Test func aTokenIsItsSlotAndItsGeneration() {
        let token = Token(slot: 0x89ab_cdef, generation: 0x0123_4567)
        #expect(token.rawValue == 0x0123_4567_89ab_cdef)
        #expect(token.slot == 0x89ab_cdef)
        #expect(token.generation == 0x0123_4567)
    }

    // MARK: At random

    /// Random walks, compared with a dictionary of the expected state of each live token.
    @Test func everyWalkAgreesWithTheModel() throws {
        var random = SeededGenerator("InFlightTable")
        let table = InFlightTable(capacity: 8, generation: 0x7fff_fff0)
        var model: [Token: (state: InFlightTable.State, isCancelRequested: Bool)] = [:]
        var past: [Token] = []
        for _ in 0..<20_000 {
            if Bool.random(using: &random), let token = table.acquire() {
                try #require(model[token] == nil)
                model[token] = (.unstaged, false)
            }
            if let token = model.keys.randomElement(using: &random), let known = model[token] {
                model[token] = step(table, token, known, Int.random(in: 0..<5, using: &random))
                if model[token] == nil { past.append(token) }
            }
            if let token = past.randomElement(using: &random) {
                try #require(table.find(token) == nil)
                try #require(table.requestCancel(token) == .unknown)
            }
            for (token, known) in model {
                let slot = try #require(table.find(token)).pointee
                try #require(slot.state == known.state)
                try #require(slot.isCancelRequested == known.isCancelRequested)
            }
        }
    }

    /// Applies what `choice` and the state allow. Returns the operation's new state; nil if it is over.
    private func step(
        _ table: InFlightTable, _ token: Token, _ known: (state: InFlightTable.State, isCancelRequested: Bool),
        _ choice: Int
    ) -> (state: InFlightTable.State, isCancelRequested: Bool)? {
        switch (known.state, choice) {
        case (.completed, 0):
            #expect(table.requestCancel(token) == .unknown)
            return known
        case (.completed, _):
            table.release(token)
            return nil
        case (_, 0):
            let first: InFlightTable.Cancelling =
                switch known.state {
                case .unstaged: .endsWhenStaged
                case .pausing, .held: .isWithNobody
                default: .askEngine
                }
            #expect(table.requestCancel(token) == (known.isCancelRequested ? .requestedBefore : first))
            return (known.state, true)
        case (.unstaged, _):
            #expect(table.stage(token) == (known.isCancelRequested ? .cancelledBefore : .submit))
            return (known.isCancelRequested ? .completed : .submitted, known.isCancelRequested)
        case (.submitted, 1), (.awaitingReadiness, 1):
            let awaits = known.state == .submitted
            table.setAwaitingReadiness(token, awaits)
            return (awaits ? .awaitingReadiness : .submitted, known.isCancelRequested)
        case (.submitted, 2), (.pausing, 1):
            let pauses = known.state == .submitted
            table.setPausing(token, pauses)
            return (pauses ? .pausing : .submitted, known.isCancelRequested)
        case (.submitted, 3), (.held, 1):
            let isHeld = known.state == .submitted
            table.setHeld(token, isHeld)
            return (isHeld ? .held : .submitted, known.isCancelRequested)
        case (.submitted, _), (.awaitingReadiness, _), (.pausing, _), (.held, _), (.stepping, _), (.writing, _),
            (.resting, _):
            table.complete(token)
            return (.completed, known.isCancelRequested)
        }
    }
}
