internal import AIOCore

/// A queue of waiters, first come, first served. Joining, leaving from the middle and taking the first are O(1); a
/// deadline adds O(log n). The earliest deadline is known at any time.
///
/// A plain structure; its owner's lock guards it.
struct WaitingLine<Value>: ~Copyable {
    /// A waiter, before, during and after its time in the line. Its creator keeps it alive.
    final class Place: @unchecked Sendable {
        // @unchecked: accessed under the lock of the line's owner alone.
        let value: Value
        let deadline: Nanoseconds
        fileprivate(set) var isInLine = false
        /// Set by the owner for a waiter that leaves before it has joined.
        var hasLeft = false
        fileprivate var next: Place?
        /// Unowned: the line keeps the previous waiter alive.
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
    /// The waiters with a deadline, as a binary heap with the earliest first.
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

    /// Removes a waiter. Returns false if it is not in the line (any more).
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

    /// Removes the waiter with the earliest deadline, if that is not after `now`.
    mutating func popPassed(_ now: Nanoseconds) -> Place? {
        guard let first = heap.first, first.deadline <= now else { return nil }
        remove(first)
        return first
    }

    /// Removes all matching waiters and returns them in order.
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

    // MARK: Heap

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
