import Testing

@testable import AIOCore

/// The lock's answers to assertions, in debug builds.
@Suite struct LockTests {
    #if DEBUG
        @Test func aLockTellsWhetherItsThreadHasIt() {
            let lock = Lock()
            let before = lock.isHeld
            lock.lock()
            let inBetween = lock.isHeld
            lock.unlock()
            let after = lock.isHeld
            #expect([before, inBetween, after] == [false, true, false])
        }

        @Test func whoeverWaitsForAConditionHasTheLockAgainAfterwards() {
            let lock = Lock()
            let condition = Condition()
            lock.lock()
            let isSignalled = condition.wait(lock, until: 1)
            let isHeld = lock.isHeld
            lock.unlock()
            #expect(!isSignalled && isHeld)
        }

        @Test func anUnlockWithoutTheLockEndsADebugBuild() async {
            await #expect(processExitsWith: .failure) { Lock().unlock() }
        }
    #endif
}
