/// One work item of the pool. Items are indexed by slot, so that one can be removed from the middle of a list.
struct WorkItem: BitwiseCopyable {
    enum State: UInt8, BitwiseCopyable {
        /// Not in the pool, or finished.
        case idle
        /// In a list, until a worker takes it or it is cancelled.
        case queued
        /// A worker executes it.
        case running
    }

    var operation = Operation.nop
    var token = Token(rawValue: .max)
    /// Quick work: see `WorkerPool`.
    var isQuick = false
    var isAdvised = false
    /// Remote work, which may block indefinitely: see `WorkerPool`.
    var isRemote = false
    /// Waiting work: see `WorkerPool`.
    var isWaiting = false
    /// The ID of the thread that executes it, if a cancel may interrupt that; 0 otherwise.
    var thread: Int32 = 0
    /// A cancel was requested while a worker had it.
    var isCancelRequested = false
    var state = State.idle
    fileprivate var next: Int32 = -1
    fileprivate var previous: Int32 = -1

    init() {}

    init(_ operation: Operation, _ token: Token) {
        self.operation = operation
        self.token = token
        isWaiting = operation.isWaitingWork
        isRemote = !isWaiting && (operation.mayWaitForOthers || operation.isFutexWait)
        isQuick = operation.isQuick && !isRemote && !isWaiting
    }

    var slot: Int { Int(token.slot) }

    /// The result of a read after readahead; nil if its pages are not all there yet.
    func resultOfPageCache() -> Int? {
        guard let transfer = operation.transfer, transfer.offset >= 0, !transfer.form.contains(.throughPageCache),
            case .done(let result) = transfer.ask()
        else { return nil }
        return result
    }

    var isRead: Bool { operation.transfer.map { !$0.isWrite } ?? false }
    var isFutexWait: Bool { operation.isFutexWait }
}

/// A FIFO list of items, linked by slot.
struct WorkList: BitwiseCopyable {
    private(set) var count = 0
    private var head: Int32 = -1
    private var tail: Int32 = -1

    var isEmpty: Bool { count == 0 }

    mutating func append(_ slot: Int, _ items: UnsafeMutablePointer<WorkItem>) {
        assert(tail != Int32(slot) && head != Int32(slot), "the item is in the list already")
        items[slot].next = -1
        items[slot].previous = tail
        if tail >= 0 { items[Int(tail)].next = Int32(slot) } else { head = Int32(slot) }
        tail = Int32(slot)
        count += 1
    }

    mutating func prepend(_ slot: Int, _ items: UnsafeMutablePointer<WorkItem>) {
        assert(tail != Int32(slot) && head != Int32(slot), "the item is in the list already")
        items[slot].next = head
        items[slot].previous = -1
        if head >= 0 { items[Int(head)].previous = Int32(slot) } else { tail = Int32(slot) }
        head = Int32(slot)
        count += 1
    }

    var first: Int? { head >= 0 ? Int(head) : nil }

    func after(_ slot: Int, _ items: UnsafeMutablePointer<WorkItem>) -> Int? {
        let next = items[slot].next
        return next >= 0 ? Int(next) : nil
    }

    mutating func popFirst(_ items: UnsafeMutablePointer<WorkItem>) -> Int? {
        guard head >= 0 else { return nil }
        let slot = Int(head)
        remove(slot, items)
        return slot
    }

    mutating func remove(_ slot: Int, _ items: UnsafeMutablePointer<WorkItem>) {
        let item = items[slot]
        assert(count > 0 && (item.previous >= 0 || head == Int32(slot)), "the item is in no list, or in another")
        assert(item.next >= 0 || tail == Int32(slot), "the item is in no list, or in another")
        if item.previous >= 0 { items[Int(item.previous)].next = item.next } else { head = item.next }
        if item.next >= 0 { items[Int(item.next)].previous = item.previous } else { tail = item.previous }
        count -= 1
    }
}

/// The range of a file that a read needs.
struct ReadaheadRange: BitwiseCopyable {
    private var descriptor: Int32
    private var offset: Int64
    private var count: Int

    /// nil unless the operation is a buffered read at an offset.
    init?(_ operation: Operation) {
        guard let transfer = operation.transfer, !transfer.isWrite, transfer.descriptor.kind == .buffered,
            transfer.offset >= 0
        else { return nil }
        descriptor = transfer.descriptor.number
        offset = transfer.offset
        count = transfer.byteCount
    }

    func start() { _ = Kernel.readahead(descriptor, offset, count) }
}

extension Operation {
    fileprivate var isFutexWait: Bool {
        if case .futexWait = self { true } else { false }
    }

    /// Whether the operation is quick work: see `WorkerPool`.
    fileprivate var isQuick: Bool {
        guard let transfer, transfer.descriptor.kind == .buffered else { return false }
        return !transfer.isWrite || transfer.flags.isDisjoint(with: [.sync, .dataSync])
    }
}
