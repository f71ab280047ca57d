import Synchronization
import Testing

@testable import AIOCommand

@Suite(.timeLimit(.minutes(10))) struct GateTests {
    /// With more tasks than the gate admits, some wait nearly all the time.
    @Test func aLineThatIsNeverEmptyTakesNoMoreMemory() async {
        let gate = Gate(width: 1)
        await withTaskGroup(of: Int.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    var most = 0
                    for _ in 0..<500 {
                        await gate.enter()
                        // The others come to the gate meanwhile.
                        await Task.yield()
                        most = max(most, gate.storedCount)
                        gate.leave()
                    }
                    return most
                }
            }
            for await most in group { #expect(most <= 64) }
        }
        #expect(gate.storedCount == 0)
    }

    @Test func noMoreTasksAreInsideThanTheGateIsWide() async {
        let (gate, inside) = (Gate(width: 4), Inside())
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<50 {
                group.addTask {
                    for _ in 0..<100 {
                        await gate.enter()
                        #expect(inside.change(by: 1) <= 4)
                        await Task.yield()
                        inside.change(by: -1)
                        gate.leave()
                    }
                }
            }
        }
        #expect(inside.change(by: 0) == 0 && gate.storedCount == 0)
    }

    private final class Inside: Sendable {
        private let count = Mutex(0)

        @discardableResult
        func change(by difference: Int) -> Int {
            count.withLock { count in
                count += difference
                return count
            }
        }
    }
}
