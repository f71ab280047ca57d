/// Takes the place of `Synchronization.Atomic` in the sources under test, which are compiled in this module: each
/// operation is a point of the exploration.
public struct Atomic<Value: AtomicWord>: ~Copyable, @unchecked Sendable {
    // @unchecked: a number, which never changes. It is the value's only property, so that a structure of atomics can be
    // reinterpreted as its first one, as the sources do.
    let cell: Int

    init(_ value: Value) {
        let execution = Execution.current.unsafelyUnwrapped
        cell = execution.memory.add(value.bits, key: execution.newKey())
    }
}

/// A value that fits in a word.
public protocol AtomicWord: Sendable, Equatable {
    var bits: UInt64 { get }
    init(bits: UInt64)
}

extension AtomicWord where Self: FixedWidthInteger {
    public var bits: UInt64 { UInt64(truncatingIfNeeded: self) }
    public init(bits: UInt64) { self.init(truncatingIfNeeded: bits) }
}

extension Int: AtomicWord {}
extension Int32: AtomicWord {}
extension UInt: AtomicWord {}
extension UInt8: AtomicWord {}
extension UInt32: AtomicWord {}
extension UInt64: AtomicWord {}
extension Bool: AtomicWord {
    public var bits: UInt64 { self ? 1 : 0 }
    public init(bits: UInt64) { self = bits != 0 }
}

enum Ordering { case relaxed, acquiring, releasing, acquiringAndReleasing, sequentiallyConsistent }

extension Ordering {
    var acquires: Bool { self == .acquiring || self == .acquiringAndReleasing || self == .sequentiallyConsistent }
    var releases: Bool { self == .releasing || self == .acquiringAndReleasing || self == .sequentiallyConsistent }
    var isOrdered: Bool { self == .sequentiallyConsistent }
}

/// What a read-modify-write has read and written. The thread's behaviour depends on it only if it looks: an execution
/// that ignores it has fewer states.
struct Exchanged<Value: AtomicWord> {
    fileprivate let old: Value
    fileprivate let new: Value

    var oldValue: Value {
        Execution.current?.observe(old.bits)
        return old
    }
    var newValue: Value {
        Execution.current?.observe(new.bits)
        return new
    }
}

extension Atomic {
    private var execution: Execution { Execution.current.unsafelyUnwrapped }

    func load(ordering: Ordering, file: StaticString = #fileID, line: UInt = #line) -> Value {
        let execution = execution
        guard let thread = execution.running else { return Value(bits: execution.memory.newest(cell)) }
        execution.point(execution.memory.key(cell), writes: false)
        var bits = execution.memory.newest(cell)
        if execution.memory.isWeak {
            let count = execution.memory.readableCount(cell, thread, isOrdered: ordering.isOrdered)
            let age = execution.choose(count)
            bits = execution.memory.read(cell, age: age, thread, acquires: ordering.acquires)
            execution.note(file, line, "loads \(Value(bits: bits))" + (age > 0 ? ", an old value" : ""))
        } else {
            execution.note(file, line, "loads \(Value(bits: bits))")
        }
        execution.observe(mixed(UInt64(cell), bits))
        return Value(bits: bits)
    }

    func store(_ value: Value, ordering: Ordering, file: StaticString = #fileID, line: UInt = #line) {
        let execution = execution
        execution.point(execution.memory.key(cell), writes: true)
        execution.note(file, line, "stores \(value)")
        execution.observe(UInt64(cell))
        write(value, ordering, continues: false)
    }

    private func write(_ value: Value, _ ordering: Ordering, continues: Bool) {
        let execution = execution
        guard execution.memory.isWeak, let thread = execution.running else {
            if execution.memory.newest(cell) != value.bits { execution.writes += 1 }
            return execution.memory.set(cell, value.bits)
        }
        execution.writes += 1
        execution.memory.write(
            cell, value.bits, thread, releases: ordering.releases, isOrdered: ordering.isOrdered, continues: continues)
    }

    /// Reads the newest value, and replaces it unless `change` returns nil.
    private func update(
        _ ordering: Ordering, orElse failureOrdering: Ordering, _ change: (Value) -> Value?
    ) -> Value {
        let execution = execution
        execution.point(execution.memory.key(cell), writes: true)
        let old = Value(bits: execution.memory.newest(cell))
        let new = change(old)
        if execution.memory.isWeak, let thread = execution.running {
            let effective = new == nil ? failureOrdering : ordering
            _ = execution.memory.read(cell, age: 0, thread, acquires: effective.acquires)
        }
        if let new { write(new, ordering, continues: true) }
        execution.observe(UInt64(cell))
        return old
    }

    func exchange(
        _ value: Value, ordering: Ordering, file: StaticString = #fileID, line: UInt = #line
    ) -> Value {
        let old = update(ordering, orElse: ordering) { _ in value }
        execution.observe(old.bits)
        execution.note(file, line, "exchanges \(old) for \(value)")
        return old
    }

    func compareExchange(
        expected: Value, desired: Value, ordering: Ordering, file: StaticString = #fileID, line: UInt = #line
    ) -> (exchanged: Bool, original: Value) {
        compareExchange(
            expected: expected, desired: desired, successOrdering: ordering,
            failureOrdering: ordering == .releasing ? .relaxed : ordering, file: file, line: line)
    }

    func compareExchange(
        expected: Value, desired: Value, successOrdering: Ordering, failureOrdering: Ordering,
        file: StaticString = #fileID, line: UInt = #line
    ) -> (exchanged: Bool, original: Value) {
        let old = update(successOrdering, orElse: failureOrdering) { $0 == expected ? desired : nil }
        execution.observe(old.bits)
        execution.note(file, line, "compares \(old) with \(expected)" + (old == expected ? ", now \(desired)" : ""))
        return (old == expected, old)
    }

    /// Never fails spuriously: where it may, its callers loop.
    func weakCompareExchange(
        expected: Value, desired: Value, successOrdering: Ordering, failureOrdering: Ordering,
        file: StaticString = #fileID, line: UInt = #line
    ) -> (exchanged: Bool, original: Value) {
        compareExchange(
            expected: expected, desired: desired, successOrdering: successOrdering, failureOrdering: failureOrdering,
            file: file, line: line)
    }
}

extension Atomic where Value: FixedWidthInteger {
    private func change(
        _ ordering: Ordering, _ name: StaticString, _ file: StaticString, _ line: UInt, _ change: (Value) -> Value
    ) -> Exchanged<Value> {
        let old = update(ordering, orElse: ordering, change)
        let new = change(old)
        execution.note(file, line, "\(name): \(old), now \(new)")
        return Exchanged(old: old, new: new)
    }

    @discardableResult
    func wrappingAdd(
        _ operand: Value, ordering: Ordering, file: StaticString = #fileID, line: UInt = #line
    ) -> Exchanged<Value> {
        change(ordering, "adds", file, line) { $0 &+ operand }
    }

    @discardableResult
    func wrappingSubtract(
        _ operand: Value, ordering: Ordering, file: StaticString = #fileID, line: UInt = #line
    ) -> Exchanged<Value> {
        change(ordering, "subtracts", file, line) { $0 &- operand }
    }

    @discardableResult
    func bitwiseOr(
        _ operand: Value, ordering: Ordering, file: StaticString = #fileID, line: UInt = #line
    ) -> Exchanged<Value> {
        change(ordering, "sets bits", file, line) { $0 | operand }
    }
}
