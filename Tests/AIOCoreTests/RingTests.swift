import CKernel
import Glibc
import Synchronization
import Testing
import UnitSupport

@testable import AIOCore

/// Tests on a real ring.
@Suite(.enabled(if: EngineQueueTests.ioUringFailure == nil, "io_uring is not available here"))
struct RingTests {
    @Test(arguments: [false, true])
    func whatIsSubmittedCompletesWithItsUserData(_ isDedicated: Bool) throws {
        let ring = try TestedRing(entries: 4, isDedicated: isDedicated)
        for round in 0..<10 as Range<UInt64> {
            for index in 0..<4 as Range<UInt64> { #expect(ring.stageNop(round * 4 + index)) }
            #expect(ring.enter(atLeast: 4, until: .never) == 4)
            #expect(ring.stagedCount == 0)
            #expect(ring.drained() == (round * 4..<round * 4 + 4).map { $0 })
        }
    }

    @Test func aFullRingTakesNoMoreUntilTheKernelTookSomething() throws {
        let ring = try TestedRing(entries: 4)
        for index in 0..<4 as Range<UInt64> { #expect(ring.stageNop(index)) }
        #expect(!ring.stageNop(4))
        #expect(ring.stagedCount == 4)
        #expect(ring.enter(atLeast: 0, until: 0) == 4)
        #expect(ring.stageNop(4))
        #expect(ring.stagedCount == 1)
    }

    @Test func drainStopsWhereItsBodySaysAndGoesOnThereNextTime() throws {
        let ring = try TestedRing(entries: 4)
        for index in 0..<4 as Range<UInt64> { #expect(ring.stageNop(index)) }
        _ = ring.enter(atLeast: 4, until: .never)
        #expect(ring.drained(max: 1) == [0])
        #expect(ring.drained(max: 2) == [1, 2])
        #expect(ring.drained() == [3])
    }

    @Test func withNothingToDoItDoesNotEnterTheKernel() throws {
        let ring = try TestedRing(entries: 4)
        #expect(ring.enter(atLeast: 0, until: 0) == 0)
        #expect(ring.drained() == [])
    }

    // MARK: Waiting

    @Test(arguments: [false, true])
    func aWaitEndsAtItsDeadline(_ isDedicated: Bool) throws {
        let ring = try TestedRing(entries: 4, isDedicated: isDedicated)
        let deadline = Kernel.now() + 2_000_000
        #expect(ring.enter(atLeast: 1, until: deadline) == -Int(ETIME))
        #expect(Kernel.now() >= deadline)
    }

    @Test func whatIsStagedIsSubmittedThoughTheDeadlineHasPassed() throws {
        let ring = try TestedRing(entries: 4)
        #expect(ring.stageNop(7))
        _ = ring.enter(atLeast: 2, until: 1)
        #expect(ring.stagedCount == 0)
        #expect(ring.drained() == [7])
    }

    // MARK: Partial submission and overflow

    /// Without IORING_SETUP_SUBMIT_ALL (before 5.18) the kernel stops after an invalid entry.
    @Test func aPartialSubmitKeepsTheRestForTheNextEnter() throws {
        var parameters = ck_uring_parameters()
        let created = Kernel.ringSetup(8, &parameters)
        let ring = TestedRing(try Ring(OwnedDescriptor(created, .ioUring, .ringSetup), parameters))
        #expect(ring.stageNop(0))
        #expect(ring.stage(1) { $0.pointee.opcode = 200 })
        #expect(ring.stageNop(2))
        #expect(ring.stageNop(3))
        #expect(ring.enter(atLeast: 0, until: 0) == 2)
        #expect(ring.stagedCount == 2)
        #expect(ring.drained() == [0, 1])
        #expect(ring.enter(atLeast: 0, until: 0) == 2)
        #expect(ring.stagedCount == 0)
        #expect(ring.drained() == [2, 3])
    }

    @Test(arguments: [false, true])
    func anInvalidEntryDoesNotStopThoseAfterIt(_ isDedicated: Bool) throws {
        let ring = try TestedRing(entries: 8, isDedicated: isDedicated)
        guard ring.hasSetUp(CK_URING_SETUP_SUBMIT_ALL) else {
            try Test.cancel("\(skipped("a kernel before 5.18"))")
        }
        #expect(ring.stageNop(0))
        #expect(ring.stage(1) { $0.pointee.opcode = 200 })
        #expect(ring.stageNop(2))
        #expect(ring.enter(atLeast: 3, until: .never) == 3)
        #expect(ring.stagedCount == 0)
        #expect(ring.drained() == [0, 1, 2])
    }

    /// The kernel keeps completions that do not fit (IORING_FEAT_NODROP); an enter moves them into the ring as soon as
    /// there is room.
    @Test(arguments: [false, true])
    func completionsThatOverflowTheRingAreAllDrainedInOrder(_ isDedicated: Bool) throws {
        let ring = try TestedRing(entries: 2, isDedicated: isDedicated)
        #expect(ring.completionEntries < 20)
        var staged: UInt64 = 0
        while staged < 20 {
            #expect(ring.stageNop(staged) && ring.stageNop(staged + 1))
            staged += 2
            _ = ring.enter(atLeast: 0, until: 0)
            // Kernels before 5.19 return EBUSY while the overflow list is not empty.
            guard ring.stagedCount == 0 else { break }
        }
        #expect(staged > UInt64(ring.completionEntries), "nothing overflowed")
        var drained: [UInt64] = []
        #expect(
            eventually {
                drained += ring.drained()
                _ = ring.enter(atLeast: 0, until: 0)
                return drained.count == staged
            })
        #expect(drained == Array(0..<staged))
    }

    // MARK: Set-up

    @Test func aRingHasAsManyCompletionEntriesAsAreAskedFor() throws {
        let asked = try Ring(entries: 4, completions: 64, isDedicated: false).parameters.completion_entries
        let unasked = try Ring(entries: 4, isDedicated: false).parameters.completion_entries
        #expect(asked == 64)
        #expect(unasked == 8)
    }

    /// IORING_SETUP_CLAMP: the kernel would otherwise refuse it.
    @Test func aRingThatIsLargerThanTheKernelsLimitIsTheLargest() throws {
        let ring = try Ring(entries: 1 << 20, isDedicated: false)
        let entries = ring.parameters.submission_entries
        #expect(entries < 1 << 20)
        #expect(entries >= 1 << 12)
    }

    @Test func aRingThatCannotBeMadeSaysAtWhichStep() {
        do throws(EngineFailure) {
            _ = try Ring(entries: 0, isDedicated: false)
            Issue.record("made")
        } catch {
            #expect(error.step == .ringSetup)
            #expect(error.errno == EINVAL)
        }
        do throws(EngineFailure) {
            // This descriptor is not a ring and cannot be mapped.
            _ = try Ring(OwnedDescriptor(Kernel.eventDescriptor(), .ioUring, .ringSetup), ck_uring_parameters())
            Issue.record("made")
        } catch {
            #expect(error.step == .ringMapping)
            #expect(error.errno > 0)
        }
    }

    @Test func theProbeFindsTheOpcodesThatEveryKernelHas() throws {
        let opcodes = try Ring(entries: 2, isDedicated: false).supportedOpcodes()
        for opcode in [
            CK_URING_OP_NOP, CK_URING_OP_READ, CK_URING_OP_WRITE, CK_URING_OP_FSYNC, CK_URING_OP_POLL_ADD,
            CK_URING_OP_ASYNC_CANCEL, CK_URING_OP_OPENAT2, CK_URING_OP_STATX, CK_URING_OP_FALLOCATE,
        ] {
            #expect(opcodes & (1 << UInt64(opcode)) != 0, "opcode \(opcode)")
        }
        #expect(opcodes >> 63 == 0)
    }
}

/// A ring as a class, whose methods can be called inside expectations.
final class TestedRing {
    private var ring: Ring

    init(_ ring: consuming Ring) { self.ring = ring }

    convenience init(entries: UInt32, isDedicated: Bool = false) throws(EngineFailure) {
        self.init(try Ring(entries: entries, isDedicated: isDedicated))
    }

    var stagedCount: UInt32 { ring.stagedCount }
    var completionEntries: UInt32 { ring.parameters.completion_entries }
    func hasSetUp(_ flag: UInt32) -> Bool { ring.parameters.flags & flag != 0 }

    /// False if the ring is full.
    func stage(_ userData: UInt64, _ fill: (UnsafeMutablePointer<ck_uring_submission>) -> Void) -> Bool {
        guard let entry = ring.nextSubmission() else { return false }
        fill(entry)
        entry.pointee.user_data = userData
        return true
    }

    func stageNop(_ userData: UInt64) -> Bool { stage(userData) { $0.pointee.opcode = CK_URING_OP_NOP } }

    func enter(atLeast count: Int, until deadline: Nanoseconds) -> Int { ring.enter(atLeast: count, until: deadline) }

    /// The user data of the completions in the ring, at most `max`.
    func drained(max: Int = .max) -> [UInt64] {
        var drained: [UInt64] = []
        ring.drain { entry in
            guard drained.count < max else { return false }
            drained.append(entry.user_data)
            return true
        }
        return drained
    }
}
