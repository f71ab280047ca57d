internal import AIOCore

/// The events to come: a binary heap by time, then by order of insertion.
struct EventHeap {
    private struct Event {
        let time: Nanoseconds
        let number: UInt64
        let action: () -> Void

        func precedes(_ other: Event) -> Bool { (time, number) < (other.time, other.number) }
    }

    private var events: [Event] = []
    private var insertedCount: UInt64 = 0

    var firstTime: Nanoseconds { events.first?.time ?? .never }

    mutating func insert(_ time: Nanoseconds, _ action: @escaping () -> Void) {
        events.append(Event(time: time, number: insertedCount, action: action))
        insertedCount += 1
        var index = events.count - 1
        while index > 0, events[index].precedes(events[(index - 1) / 2]) {
            events.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }

    mutating func popFirst() -> (Nanoseconds, () -> Void)? {
        guard let first = events.first else { return nil }
        let last = events.removeLast()
        if !events.isEmpty {
            events[0] = last
            sinkFirst()
        }
        return (first.time, first.action)
    }

    private mutating func sinkFirst() {
        var index = 0
        while true {
            var least = index
            for child in [2 * index + 1, 2 * index + 2] where child < events.count {
                if events[child].precedes(events[least]) { least = child }
            }
            guard least != index else { return }
            events.swapAt(index, least)
            index = least
        }
    }
}
