internal import AIOCore

/// Those who wait for something, first come first served. To join, to leave from the middle and to be the next take the same
/// time however many wait; the earliest deadline is known, and keeping it takes the logarithm of that.
///
/// A plain structure, for its owner's lock to guard.
struct WaitingLine<Value>: ~Copyable {
    /// One who waits, or is about to, or did: what the line knows of him, and whoever made it keeps.
    final class Place: @unchecked Sendable {
        // @unchecked: touched under the lock of the line's owner alone.
        let value: Value
        let deadline: Nanoseconds
        fileprivate(set) var isInLine = false
        /// Its owner's, for one who leaves before he joins.
        var hasLeft = false
        fileprivate var next: Place?
        /// Kept alive by the line.
        fileprivate unowned(unsafe) var previous: Place?
        fileprivate var heapIndex = -1

        init(_ value: Value, deadline: Nanoseconds = .never) {
            self.value = value
            self.deadline = deadline
        }
    }

    private(set) var first: Place?
    private var last: Place?
    private(set) var count = 0
    /// Those with a deadline, as a binary heap: the earliest first.
    private var heap: [Place] = []

    init() {}

    var isEmpty: Bool { count == 0 }
    var earliestDeadline: Nanoseconds { heap.first?.deadline ?? .never }

    mutating func append(_ place: Place) {
        place.isInLine = true
        place.previous = last
        if let last { last.next = place } else { first = place }
        last = place
        count += 1
        guard place.deadline != .never else { return }
        heap.append(place)
        siftUp(place, from: heap.count - 1)
    }

    /// False if it is not in the line (any more).
    @discardableResult
    mutating func remove(_ place: Place) -> Bool {
        guard place.isInLine else { return false }
        place.isInLine = false
        if let previous = place.previous { previous.next = place.next } else { first = place.next }
        if let next = place.next { next.previous = place.previous } else { last = place.previous }
        place.next = nil
        place.previous = nil
        count -= 1
        if place.heapIndex >= 0 { removeFromHeap(place) }
        return true
    }

    mutating func popFirst() -> Place? {
        guard let first else { return nil }
        remove(first)
        return first
    }

    /// Takes out the one whose deadline is the earliest, if that is not after `now`.
    mutating func popPassed(_ now: Nanoseconds) -> Place? {
        guard let first = heap.first, first.deadline <= now else { return nil }
        remove(first)
        return first
    }

    /// Takes out all that match, in order.
    mutating func remove(where matches: (Value) -> Bool) -> [Place] {
        var removed: [Place] = []
        var place = first
        while let current = place {
            place = current.next
            if matches(current.value) {
                remove(current)
                removed.append(current)
            }
        }
        return removed
    }

    // MARK: The heap

    private mutating func removeFromHeap(_ place: Place) {
        let index = place.heapIndex
        place.heapIndex = -1
        let last = heap.removeLast()
        guard last !== place else { return }
        if index > 0, last.deadline < heap[(index - 1) / 2].deadline {
            siftUp(last, from: index)
        } else {
            siftDown(last, from: index)
        }
    }

    private mutating func siftUp(_ place: Place, from start: Int) {
        var index = start
        while index > 0 {
            let parent = (index - 1) / 2
            guard place.deadline < heap[parent].deadline else { break }
            put(heap[parent], at: index)
            index = parent
        }
        put(place, at: index)
    }

    private mutating func siftDown(_ place: Place, from start: Int) {
        var index = start
        while true {
            var child = 2 * index + 1
            guard child < heap.count else { break }
            if child + 1 < heap.count, heap[child + 1].deadline < heap[child].deadline { child += 1 }
            guard heap[child].deadline < place.deadline else { break }
            put(heap[child], at: index)
            index = child
        }
        put(place, at: index)
    }

    private mutating func put(_ place: Place, at index: Int) {
        heap[index] = place
        place.heapIndex = index
    }
}
