#if DEBUG
    import Testing

    @testable import AIOCore

    /// Mistakes that end a debug build.
    @Suite struct AssertionTests {
        @Test func aSlotThatIsFreedTwice() async {
            await #expect(processExitsWith: .failure) {
                let pool = SlotPool(capacity: 2)
                let slot = pool.pop()!
                pool.push(slot)
                pool.push(slot)
            }
        }

        @Test func aSlotThatIsFreedIntoAnotherPool() async {
            await #expect(processExitsWith: .failure) {
                let pool = SlotPool(capacity: 2, first: 4)
                pool.push(3)
            }
        }

        @Test func aSlotThatIsInTheInboxTwice() async {
            await #expect(processExitsWith: .failure) {
                let inbox = Inbox(capacity: 2)
                _ = inbox.put(1)
                _ = inbox.put(1)
            }
        }

        @Test func aSecondDeadlineOfASlot() async {
            await #expect(processExitsWith: .failure) {
                var heap = DeadlineHeap(capacity: 2)
                heap.insert(1, 5)
                heap.insert(1, 6)
            }
        }

        @Test func anItemThatIsRemovedTwice() async {
            await #expect(processExitsWith: .failure) {
                let items = UnsafeMutablePointer<WorkItem>.allocate(capacity: 2)
                items.initialize(repeating: WorkItem(), count: 2)
                var list = WorkList()
                list.append(0, items)
                list.append(1, items)
                list.remove(0, items)
                list.remove(0, items)
            }
        }

        @Test func aTokenThatIsReleasedTwice() async {
            await #expect(processExitsWith: .failure) {
                let table = InFlightTable(capacity: 1)
                let token = table.acquire()!
                _ = table.stage(token)
                table.complete(token)
                table.release(token)
                table.release(token)
            }
        }
    }
#endif
