import CKernel
import Glibc
import Testing
import UnitSupport

@testable import AIOCore

/// Threads and conditions of the core.
@Suite struct KernelThreadTests {
    @Test func aStandInThatKnowsNothingOfThreadsLetsThemStart() async {
        await #expect(processExitsWith: .success) {
            final class Body: ThreadBody, @unchecked Sendable {
                // @unchecked: the pipe is the only state.
                let pipe: (Int32, Int32) = {
                    var ends: [Int32] = [-1, -1]
                    _ = Glibc.pipe(&ends)
                    return (ends[0], ends[1])
                }()
                override func run() { _ = Glibc.write(pipe.1, [7], 1) }
            }
            Kernel.install(
                KernelStandIn(answer: { $0.number == CK_NR_clone ? -Int(ENOSYS) : nil }, takes: { _ in false }))
            let body = Body()
            // In an exit test a failed expectation ends the process with a failure.
            #expect(Kernel.startThread(body) == 0)
            var byte: UInt8 = 0
            #expect(Glibc.read(body.pipe.0, &byte, 1) == 1 && byte == 7)
        }
    }

    @Test func aThreadRunsItsBodyWithAllSignalsBlocked() {
        final class Probe: ThreadBody, @unchecked Sendable {
            // @unchecked: written before the lock is released, read under it.
            let lock = Lock()
            let condition = Condition()
            var blocked: [Int32] = []
            var isDone = false

            override func run() {
                var mask = sigset_t()
                pthread_sigmask(SIG_BLOCK, nil, &mask)
                lock.lock()
                blocked = [SIGINT, SIGTERM, SIGUSR1, SIGCHLD].filter { sigismember(&mask, $0) == 1 }
                isDone = true
                condition.signal()
                lock.unlock()
            }
        }
        let probe = Probe()
        var before = sigset_t()
        pthread_sigmask(SIG_BLOCK, nil, &before)
        #expect(Kernel.startThread(probe) == 0)
        probe.lock.lock()
        while !probe.isDone { probe.condition.wait(probe.lock) }
        probe.lock.unlock()
        #expect(probe.blocked == [SIGINT, SIGTERM, SIGUSR1, SIGCHLD])
        var after = sigset_t()
        pthread_sigmask(SIG_BLOCK, nil, &after)
        #expect(sigismember(&after, SIGUSR1) == sigismember(&before, SIGUSR1), "the caller's own mask is as it was")
    }

    @Test func aConditionWaitsUntilItsDeadline() {
        let lock = Lock()
        let condition = Condition()
        lock.lock()
        let deadline = Kernel.now() + 2_000_000
        var wasCalled = true
        // A wake-up may be spurious.
        while wasCalled, Kernel.now() < deadline { wasCalled = condition.wait(lock, until: deadline) }
        lock.unlock()
        #expect(Kernel.now() >= deadline)
    }
}
