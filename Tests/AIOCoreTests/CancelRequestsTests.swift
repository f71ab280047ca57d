import Synchronization
import Testing
import UnitSupport

@testable import AIOCore

@Suite struct CancelRequestsTests {
    private func taken(from requests: borrowing CancelRequests) -> [Token] {
        var tokens: [Token] = []
        requests.take { tokens.append($0) }
        return tokens
    }

    @Test func requestsAreTakenOnceInTheOrderInWhichTheyCame() {
        let requests = CancelRequests(capacity: 4)
        let tokens = [2, 0, 3].map { Token(slot: $0, generation: 5) }
        for token in tokens { requests.put(token) }
        let isEmptyBefore = requests.isEmpty
        let first = taken(from: requests)
        let isEmptyAfter = requests.isEmpty
        let second = taken(from: requests)
        #expect(!isEmptyBefore)
        #expect(first == tokens)
        #expect(isEmptyAfter)
        #expect(second == [])
    }

    @Test func aSlotIsListedOnceHoweverOftenItIsPut() {
        let requests = CancelRequests(capacity: 1)
        for _ in 0..<10 { requests.put(Token(slot: 0, generation: 3)) }
        let tokens = taken(from: requests)
        #expect(tokens == [Token(slot: 0, generation: 3)])
    }

    /// Generations before and after the wrap at 31 bits. In either order, the newer one wins: only it can be live.
    @Test(arguments: [(0, 1), (1, 2), (0x7fff_ffff, 0), (0x7fff_fff0, 5)] as [(UInt32, UInt32)])
    func theNewerOfTwoGenerationsCounts(_ older: UInt32, _ newer: UInt32) {
        for order in [[older, newer], [newer, older]] {
            let requests = CancelRequests(capacity: 1)
            for generation in order { requests.put(Token(slot: 0, generation: generation)) }
            let tokens = taken(from: requests)
            #expect(tokens == [Token(slot: 0, generation: newer)])
        }
    }

    @Test(arguments: [1, 2, 1_000_000, .max] as [UInt32])
    func aTokenOfALargerQueueIsIgnored(_ slot: UInt32) {
        let requests = CancelRequests(capacity: 1)
        requests.put(Token(slot: slot, generation: 0))
        let isEmpty = requests.isEmpty
        #expect(isEmpty)
        requests.put(Token(slot: 0, generation: 3))
        let tokens = taken(from: requests)
        #expect(tokens == [Token(slot: 0, generation: 3)])
    }

    @Test func underManyThreadsEveryRequestArrives() {
        final class Shared: @unchecked Sendable {
            // @unchecked: the code under test is thread-safe.
            let requests = CancelRequests(capacity: 4)
            let writersLeft = Atomic<Int>(4)
        }
        let shared = Shared()
        let last: UInt32 = 5_000
        let newest = Locked<[UInt32: UInt32]>([:])
        withTaker {
            // Read before the requests are taken, so that the last pass follows the last writer.
            let isLast = shared.writersLeft.load(ordering: .acquiring) == 0
            shared.requests.take { token in
                newest.withLock { newest in
                    if let known = newest[token.slot] { #expect(known <= token.generation) }
                    newest[token.slot] = token.generation
                }
            }
            return isLast
        } while: {
            onThreads(4) { slot in
                for generation in 0...last { shared.requests.put(Token(slot: UInt32(slot), generation: generation)) }
                shared.writersLeft.subtract(1, ordering: .releasing)
            }
        }
        #expect(newest.withLock { $0 } == [0: last, 1: last, 2: last, 3: last])
    }

    /// A cancel may take long, and whoever puts the next request must not wait for it. In debug builds a lock that the
    /// thread holds already ends the process.
    @Test func theLockIsFreeWhileARequestIsHandled() async {
        await #expect(processExitsWith: .success) {
            let requests = CancelRequests(capacity: 2)
            let other = Token(slot: 1, generation: 0)
            requests.put(Token(slot: 0, generation: 0))
            var first: [Token] = []
            requests.take { token in
                first.append(token)
                requests.put(other)
            }
            // What was put meanwhile is for the next look.
            precondition(first == [Token(slot: 0, generation: 0)] && !requests.isEmpty)
            var second: [Token] = []
            requests.take { second.append($0) }
            precondition(second == [other] && requests.isEmpty)
        }
    }

    /// A request for a slot whose last request is being handled.
    @Test func aSlotCanBeListedAgainWhileItsRequestIsHandled() async {
        await #expect(processExitsWith: .success) {
            let requests = CancelRequests(capacity: 1)
            requests.put(Token(slot: 0, generation: 3))
            requests.take { _ in requests.put(Token(slot: 0, generation: 4)) }
            var tokens: [Token] = []
            requests.take { tokens.append($0) }
            precondition(tokens == [Token(slot: 0, generation: 4)])
        }
    }

    private func withTaker(_ take: @escaping @Sendable () -> Bool, while body: () -> Void) {
        let taker = TestThread { while !take() {} }
        body()
        taker.join()
    }
}
