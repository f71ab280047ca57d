/// An atomic that several threads of a scenario share.
final class Place<Value: AtomicWord>: @unchecked Sendable {
    // @unchecked: the pointer never changes.
    let address = UnsafeMutablePointer<Atomic<Value>>.allocate(capacity: 1)
    var value: Atomic<Value> {
        _read { yield address.pointee }
    }

    init(_ value: Value) { address.initialize(to: Atomic(value)) }
    deinit { address.deallocate() }
}

/// What the threads of a scenario have seen, by a key of each.
final class Log: @unchecked Sendable {
    // @unchecked: one thread runs at a time.
    private(set) var values: [Int: UInt32] = [:]
    private(set) var entries: [UInt32] = []

    func add(_ key: Int, _ value: UInt32) {
        values[key] = value
        Execution.current?.record(mixed(UInt64(key), UInt64(value)))
    }

    func append(_ value: UInt32) {
        entries.append(value)
        Execution.current?.record(UInt64(value))
    }
}

/// A value that cannot be copied, for closures to share.
final class Shared<Value: ~Copyable>: @unchecked Sendable {
    // @unchecked: one thread runs at a time, and the values have synchronization of their own.
    let value: Value
    init(_ value: consuming Value) { self.value = value }
}

/// Memory without synchronization of its own: an access that is not ordered after the last write is a data race.
final class Plain: @unchecked Sendable {
    // @unchecked: one thread runs at a time.
    private let word = Place<UInt64>(0)

    /// Reads, and fails unless the newest value is the only one that the thread may see.
    func read() -> UInt64 {
        let execution = Execution.current.unsafelyUnwrapped
        guard let thread = execution.running, execution.memory.isWeak else {
            return execution.memory.newest(word.value.cell)
        }
        check(execution, thread)
        return execution.memory.newest(word.value.cell)
    }

    func write(_ value: UInt64) {
        let execution = Execution.current.unsafelyUnwrapped
        guard let thread = execution.running, execution.memory.isWeak else {
            return execution.memory.set(word.value.cell, value)
        }
        check(execution, thread)
        execution.memory.write(
            word.value.cell, value, thread, releases: false, isOrdered: false, continues: false)
    }

    private func check(_ execution: Execution, _ thread: ExploredThread) {
        let count = execution.memory.readableCount(word.value.cell, thread, isOrdered: false)
        execution.check(count == 1, "a data race: \(thread.name) does not see the last write")
    }
}

extension Execution {
    func check(_ condition: Bool, _ text: @autoclosure () -> String) {
        if !condition { fail(text()) }
    }
}
