import CKernel
import Glibc
import Synchronization
import Testing
import UnitSupport

@testable import AIOCore

@Suite struct InboxTests {
    private func taken(from inbox: borrowing Inbox) -> [UInt32] {
        var slots: [UInt32] = []
        inbox.take { slots.append($0) }
        return slots
    }

    @Test func slotsAreTakenInTheOrderInWhichTheyWerePut() {
        let inbox = Inbox(capacity: 8)
        for slot in [3, 1, 7, 0] as [UInt32] { _ = inbox.put(slot) }
        let first = taken(from: inbox)
        let second = taken(from: inbox)
        #expect(first == [3, 1, 7, 0])
        #expect(second == [])
    }

    @Test func aReaderThatIsAwakeIsNotWoken() {
        let inbox = Inbox(capacity: 3)
        let wakes = [inbox.put(0), inbox.put(1), inbox.wakeIsNeeded()]
        #expect(wakes == [false, false, false])
    }

    @Test func oneOfABatchWakesAReaderThatSleeps() {
        let inbox = Inbox(capacity: 3)
        let slept = inbox.fallAsleep()
        let wakes = (0..<3).map { inbox.put($0) }
        let slots = taken(from: inbox)
        #expect(slept)
        #expect(wakes == [true, false, false])
        #expect(slots == [0, 1, 2])
    }

    @Test func aReaderCannotFallAsleepOverWhatIsThere() {
        let inbox = Inbox(capacity: 1)
        _ = inbox.put(0)
        let slept = inbox.fallAsleep()
        let slots = taken(from: inbox)
        #expect(!slept)
        #expect(slots == [0])
    }

    @Test func takingWakesTheReaderUp() {
        let inbox = Inbox(capacity: 1)
        _ = inbox.fallAsleep()
        let slots = taken(from: inbox)
        let wakes = inbox.put(0)
        #expect(slots == [])
        #expect(!wakes)
    }

    @Test func newsFromElsewhereWakesASleeperOnce() {
        let inbox = Inbox(capacity: 1)
        _ = inbox.fallAsleep()
        let wakes = [inbox.wakeIsNeeded(), inbox.wakeIsNeeded(), inbox.put(0)]
        let slots = taken(from: inbox)
        #expect(wakes == [true, false, false])
        #expect(slots == [0])
    }

    @Test func aSlotMayBePutInAgainWhileItIsTaken() {
        let inbox = Inbox(capacity: 2)
        _ = inbox.put(0)
        _ = inbox.put(1)
        var first: [UInt32] = []
        inbox.take { slot in
            first.append(slot)
            _ = inbox.put(slot)
        }
        let second = taken(from: inbox)
        #expect(first == [0, 1])
        #expect(second == [0, 1])
    }

    /// Each writer sends a message when it owns its slot; the reader sleeps whenever the inbox is empty. A lost wake-up
    /// is a hang; needless wake-ups are counted.
    @Test func underManyWritersNothingIsLostAndEachSleepIsEndedOnce() {
        let (writers, messages) = (4, 5_000)
        let mail = Mail(capacity: writers)
        let reader = TestThread { mail.read(writers * messages) }
        onThreads(writers) { writer in
            for message in 1...messages { mail.send(message, from: writer) }
        }
        reader.join()
        #expect(mail.received == (0..<writers).map { _ in messages })
        #expect(!mail.isOutOfOrder)
        #expect(mail.wakeCount.load(ordering: .relaxed) == mail.sleepCount)
    }
}

/// One slot per writer, which may reuse it once the reader has taken it.
private final class Mail: @unchecked Sendable {
    // @unchecked: a message is written before its slot is put, and read after the slot is taken. All other plain
    // variables belong to the reader.
    private let inbox: Inbox
    private let messages: UnsafeMutablePointer<Int>
    private let isFree: UnsafeMutablePointer<Atomic<Bool>>
    private let bell = Kernel.eventDescriptor()
    let wakeCount = Atomic<Int>(0)
    private(set) var sleepCount = 0
    private(set) var received: [Int]
    private(set) var isOutOfOrder = false

    init(capacity: Int) {
        inbox = Inbox(capacity: capacity)
        messages = .allocate(capacity: capacity)
        messages.initialize(repeating: 0, count: capacity)
        isFree = .allocate(capacity: capacity)
        for index in 0..<capacity { (isFree + index).initialize(to: Atomic(true)) }
        received = Array(repeating: 0, count: capacity)
    }

    deinit {
        messages.deallocate()
        isFree.deallocate()
        Kernel.close(Int32(bell))
    }

    func send(_ message: Int, from writer: Int) {
        while !isFree[writer].exchange(false, ordering: .acquiring) { sched_yield() }
        messages[writer] = message
        guard inbox.put(UInt32(writer)) else { return }
        wakeCount.add(1, ordering: .relaxed)
        Kernel.wake(Int32(bell))
    }

    func read(_ count: Int) {
        var remaining = count
        while remaining > 0 {
            if inbox.fallAsleep() {
                sleepCount += 1
                waitForBell()
            }
            inbox.take { slot in
                let slot = Int(slot)
                if messages[slot] != received[slot] + 1 { isOutOfOrder = true }
                received[slot] = messages[slot]
                remaining -= 1
                isFree[slot].store(true, ordering: .releasing)
            }
        }
    }

    private func waitForBell() {
        var entry = ck_pollfd(descriptor: Int32(bell), events: Int16(CK_POLLIN), returned: 0)
        _ = Kernel.ppoll(&entry, 1, nil)
        var value: UInt64 = 0
        _ = Kernel.read(Int32(bell), &value, 8)
    }
}
