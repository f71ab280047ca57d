import Glibc
import Synchronization
import Testing

@testable import AIOCore

/// Futexes, timers, and the signal that interrupts a call.
@Suite struct KernelWaitTests {
    /// The deadline is a time of the clock, not a length.
    @Test(arguments: [true, false])
    func aFutexWaitEndsAtItsDeadline(_ isPrivate: Bool) {
        let word = UnsafeMutablePointer<UInt32>.allocate(capacity: 1)
        word.initialize(to: 7)
        defer { word.deallocate() }
        let deadline = Kernel.now() + 2_000_000
        let result = Kernel.futexWait(word, while: 7, isPrivate: isPrivate, until: deadline)
        #expect(result == -Int(ETIMEDOUT))
        #expect(Kernel.now() >= deadline)
        #expect(Kernel.futexWait(word, while: 8, isPrivate: isPrivate, until: .never) == -Int(EAGAIN))
    }

    @Test func aWaitOnAWordOfTheLibrarysEndsAtItsDeadline() {
        let word = UnsafeMutablePointer<Atomic<UInt32>>.allocate(capacity: 1)
        word.initialize(to: Atomic(7))
        defer { word.deallocate() }
        let deadline = Kernel.now() + 2_000_000
        #expect(Kernel.futexWait(word, while: 7, until: deadline) == -Int(ETIMEDOUT))
        #expect(Kernel.now() >= deadline)
        #expect(Kernel.futexWaitPastStandIn(word, while: 7, until: deadline + 2_000_000) == -Int(ETIMEDOUT))
        #expect(Kernel.now() >= deadline + 2_000_000)
        #expect(Kernel.futexWait(word, while: 8, until: .never) == -Int(EAGAIN))
    }

    @Test func timersOfTheLibraryHaveDifferentTags() throws {
        var errno: Int32 = 0
        let timers = try (0..<8).map { _ in try #require(MarkedTimer(errno: &errno)) }
        defer { for timer in timers { GuestNumbers.close(timer.number) } }
        #expect(Set(timers.map(\.tag)).count == timers.count)
        #expect(timers.allSatisfy { $0.tag & 0xffff_ffff == 0 && $0.isOurs })
    }

    /// In a child process: the choice is made once.
    @Test func theSignalThatInterruptsIsOneThatTheProgramDoesNotUse() async {
        await #expect(processExitsWith: .success) {
            var action = sigaction()
            action.__sigaction_handler.sa_handler = { _ in }
            for number in Int32(42)...62 { #expect(sigaction(number, &action, nil) == 0, "signal \(number)") }
            _ = Interruption.allowed { 0 }
            var present = sigaction()
            #expect(sigaction(41, nil, &present) == 0 && present.__sigaction_handler.sa_handler != nil, "not 41")
            #expect(sigaction(40, nil, &present) == 0 && present.__sigaction_handler.sa_handler == nil, "also 40")
        }
    }
}
