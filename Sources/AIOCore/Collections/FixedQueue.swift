/// A bounded FIFO queue in memory allocated once.
struct FixedQueue<Element: BitwiseCopyable>: ~Copyable {
    private let elements: UnsafeMutablePointer<Element>
    private let mask: Int
    private var head = 0
    private var tail = 0

    /// Holds at least `capacity` elements.
    init(capacity: Int) {
        var size = 1
        while size < capacity { size *= 2 }
        elements = .allocate(capacity: size)
        mask = size - 1
    }

    deinit { elements.deallocate() }

    var count: Int { tail &- head }
    var isEmpty: Bool { head == tail }
    var isFull: Bool { count > mask }

    @inline(__always)
    mutating func append(_ element: Element) {
        precondition(!isFull, "more elements than the queue was made for")
        (elements + (tail & mask)).initialize(to: element)
        tail &+= 1
    }

    @inline(__always)
    mutating func popFirst() -> Element? {
        guard head != tail else { return nil }
        assert(count > 0 && count <= mask + 1, "the head is not between the tail and its oldest element")
        defer { head &+= 1 }
        return elements[head & mask]
    }
}
