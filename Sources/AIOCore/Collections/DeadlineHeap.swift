/// The deadlines of a queue's operations, earliest first: a binary heap in memory allocated once.
struct DeadlineHeap: ~Copyable {
    struct Entry: BitwiseCopyable {
        var deadline: Nanoseconds
        var slot: UInt32
    }

    private let entries: UnsafeMutablePointer<Entry>
    /// By slot, the index of its entry, or -1.
    private let places: UnsafeMutablePointer<Int32>
    private let capacity: Int
    private(set) var count = 0

    init(capacity: Int) {
        self.capacity = capacity
        entries = .allocate(capacity: capacity)
        places = .allocate(capacity: capacity)
        places.initialize(repeating: -1, count: capacity)
    }

    deinit {
        entries.deallocate()
        places.deallocate()
    }

    var earliest: Nanoseconds { count > 0 ? entries[0].deadline : .never }

    /// Adds a slot's deadline; it must not have one already.
    mutating func insert(_ slot: UInt32, _ deadline: Nanoseconds) {
        assert(slot < capacity, "a slot beyond the capacity")
        assert(places[Int(slot)] < 0, "the slot has a deadline already")
        count += 1
        siftUp(Entry(deadline: deadline, slot: slot), from: count - 1)
    }

    /// Removes a slot's deadline, if it has one.
    @inline(__always)
    mutating func remove(_ slot: UInt32) {
        guard count > 0, places[Int(slot)] >= 0 else { return }
        removeEntry(at: Int(places[Int(slot)]))
    }

    /// Removes the earliest deadline if it is not after `now`, and returns its slot.
    mutating func popPassed(_ now: Nanoseconds) -> UInt32? {
        guard count > 0, entries[0].deadline <= now else { return nil }
        let slot = entries[0].slot
        removeEntry(at: 0)
        return slot
    }

    private mutating func removeEntry(at index: Int) {
        assert(index < count, "no entry at the index")
        assert(places[Int(entries[index].slot)] == Int32(index), "the slot's place is not that of its entry")
        places[Int(entries[index].slot)] = -1
        count -= 1
        guard index < count else { return }
        let last = entries[count]
        if index > 0, last.deadline < entries[(index - 1) / 2].deadline {
            siftUp(last, from: index)
        } else {
            siftDown(last, from: index)
        }
    }

    private mutating func siftUp(_ entry: Entry, from start: Int) {
        var index = start
        while index > 0 {
            let parent = (index - 1) / 2
            guard entry.deadline < entries[parent].deadline else { break }
            place(entries[parent], at: index)
            index = parent
        }
        place(entry, at: index)
    }

    private mutating func siftDown(_ entry: Entry, from start: Int) {
        var index = start
        while true {
            var child = 2 * index + 1
            guard child < count else { break }
            if child + 1 < count, entries[child + 1].deadline < entries[child].deadline { child += 1 }
            guard entries[child].deadline < entry.deadline else { break }
            place(entries[child], at: index)
            index = child
        }
        place(entry, at: index)
    }

    private mutating func place(_ entry: Entry, at index: Int) {
        entries[index] = entry
        places[Int(entry.slot)] = Int32(index)
    }
}
