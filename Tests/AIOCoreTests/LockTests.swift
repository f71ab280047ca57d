import Testing
import UnitSupport

@testable import AIOCore

/// What assertions ask of a lock, in debug builds.
@Suite struct LockTests {
    #if DEBUG
        @Test func aLockTellsWhetherItsThreadHasIt() {
            let lock = Lock()
            #expect(!lock.isHeld)
            lock.lock()
            #expect(lock.isHeld)
            lock.unlock()
            #expect(!lock.isHeld)
        }

        @Test func whoeverWaitsForAConditionHasTheLockAgainAfterwards() {
            let lock = Lock()
            let condition = Condition()
            lock.lock()
            #expect(!condition.wait(lock, until: 1))
            #expect(lock.isHeld)
            lock.unlock()
        }

        @Test func anUnlockWithoutTheLockEndsADebugBuild() async {
            await #expect(processExitsWith: .failure) { Lock().unlock() }
        }
    #endif
}
