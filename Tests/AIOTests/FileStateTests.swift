import Testing
import UnitSupport

@testable import AIO

@Suite struct FileLeaseTests {
    /// A class around the noncopyable lease, so that tasks can share it.
    private final class Shared: Sendable {
        let lease = FileLease()
        func begin() -> Bool { lease.begin() }
        func end() { lease.end() }
        func extend() { lease.extend() }
        func close() -> Bool { lease.close() }
        var isClosed: Bool { lease.isClosed }
    }

    @Test func usersBeginUntilItIsClosed() {
        let lease = Shared()
        #expect(lease.begin())
        #expect(lease.begin())
        lease.end()
        #expect(!lease.isClosed)
        #expect(lease.close())
        #expect(lease.isClosed)
        #expect(!lease.begin())
        lease.end()
    }

    @Test func onlyOneCloses() {
        let lease = Shared()
        #expect(lease.close())
        #expect(!lease.close())
        #expect(lease.isClosed)
    }

    @Test func withoutUsersTheCloserNeedNotWait() async {
        let lease = Shared()
        #expect(lease.close())
        await lease.lease.waitForUsers()
    }

    @Test func theCloserWaitsForTheLastUser() async {
        let lease = Shared()
        let order = Order()
        #expect(lease.begin())
        #expect(lease.begin())
        #expect(lease.close())
        let closer = Task {
            await lease.lease.waitForUsers()
            order.note("closed")
        }
        order.note("first")
        lease.end()
        // A refused `begin` adds no user, and needs no `end`.
        #expect(!lease.begin())
        order.note("second")
        lease.end()
        await closer.value
        #expect(order.notes == ["first", "second", "closed"])
    }

    @Test func aUserMayLeaveAnotherInItsPlaceWhileACloserWaits() async {
        let lease = Shared()
        let order = Order()
        #expect(lease.begin())
        #expect(lease.close())
        let closer = Task {
            await lease.lease.waitForUsers()
            order.note("closed")
        }
        lease.extend()
        lease.end()
        order.note("the other")
        lease.end()
        await closer.value
        #expect(order.notes == ["the other", "closed"])
    }

    @Test func underManyTasksNobodyUsesWhatIsClosed() async {
        for _ in 0..<200 {
            let lease = Shared()
            let order = Order()
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        while lease.begin() {
                            if !order.notes.isEmpty { Issue.record("begun after the end") }
                            lease.end()
                            await Task.yield()
                        }
                    }
                }
                group.addTask {
                    #expect(lease.close())
                    await lease.lease.waitForUsers()
                    order.note("closed")
                }
            }
            #expect(order.notes == ["closed"])
        }
    }
}
