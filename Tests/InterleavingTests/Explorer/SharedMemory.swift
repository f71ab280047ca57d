/// How far a thread, or what it published, has seen each cell: an index into the cell's values, in their order.
struct View {
    private(set) var positions: [Int] = []

    subscript(cell: Int) -> Int {
        get { cell < positions.count ? positions[cell] : 0 }
        set {
            while positions.count <= cell { positions.append(0) }
            positions[cell] = newValue
        }
    }

    mutating func join(_ other: View) {
        for (cell, position) in other.positions.enumerated() where position > self[cell] { self[cell] = position }
    }
}

/// The atomic words of an execution.
///
/// Weak memory is C11's with three limits: a store comes last in the modification order of its word; a load returns no
/// value that is stored later (no load buffering); and a compare-exchange that fails reads the newest value. Within
/// these limits a load may return any value that is not older than one that its thread has read, or whose store happens
/// before. Acquire, release, release sequences and the single order of the sequentially consistent operations count.
/// This includes everything that x86 does (TSO).
struct SharedMemory {
    private struct Value {
        var bits: UInt64
        /// What a thread knows that acquires this value.
        var view = View()
    }

    private struct Cell {
        let key: UInt64
        var values: [Value]
        /// The position of the newest sequentially consistent store.
        var ordered = 0
    }

    let isWeak: Bool
    private var cells: [Cell] = []
    /// Of all cells, kept up to date, unless the memory is weak.
    private var hashOfValues: UInt64 = 0
    /// The threads that sleep on a word, in the order of their arrival.
    private var sleepers: [Int: [ExploredThread]] = [:]

    init(isWeak: Bool) { self.isWeak = isWeak }

    mutating func add(_ bits: UInt64, key: UInt64) -> Int {
        cells.append(Cell(key: key, values: [Value(bits: bits)]))
        hashOfValues ^= mixed(UInt64(cells.count - 1), bits)
        return cells.count - 1
    }

    func key(_ cell: Int) -> UInt64 { cells[cell].key }
    func newest(_ cell: Int) -> UInt64 { cells[cell].values[cells[cell].values.count - 1].bits }

    mutating func set(_ cell: Int, _ bits: UInt64) {
        hashOfValues ^= mixed(UInt64(cell), newest(cell)) ^ mixed(UInt64(cell), bits)
        cells[cell].values[cells[cell].values.count - 1].bits = bits
    }

    // MARK: Weak memory

    /// The number of values that a load may return: the newest ones.
    func readableCount(_ cell: Int, _ thread: ExploredThread, isOrdered: Bool) -> Int {
        let oldest = max(thread.view[cell], isOrdered ? cells[cell].ordered : 0)
        return cells[cell].values.count - oldest
    }

    /// Reads the value with this age; 0 for the newest.
    func read(_ cell: Int, age: Int, _ thread: ExploredThread, acquires: Bool) -> UInt64 {
        let position = cells[cell].values.count - 1 - age
        let value = cells[cell].values[position]
        thread.view[cell] = max(thread.view[cell], position)
        if acquires { thread.view.join(value.view) }
        return value.bits
    }

    /// Adds a value. `continues` for a read-modify-write, which continues the release sequence of what it has read.
    mutating func write(
        _ cell: Int, _ bits: UInt64, _ thread: ExploredThread, releases: Bool, isOrdered: Bool, continues: Bool
    ) {
        let position = cells[cell].values.count
        thread.view[cell] = position
        var view = continues ? cells[cell].values[position - 1].view : View()
        view[cell] = position
        if releases { view.join(thread.view) }
        cells[cell].values.append(Value(bits: bits, view: view))
        if isOrdered { cells[cell].ordered = position }
    }

    /// Shows a thread all that has been written, as happens in the end. False if it has seen everything.
    func catchUp(_ thread: ExploredThread) -> Bool {
        var isBehind = false
        for (index, cell) in cells.enumerated() where thread.view[index] < cell.values.count - 1 {
            thread.view[index] = cell.values.count - 1
            isBehind = true
        }
        return isBehind
    }

    // MARK: Sleepers

    mutating func addSleeper(_ cell: Int, _ thread: ExploredThread) { sleepers[cell, default: []].append(thread) }
    mutating func removeSleeper(_ cell: Int, _ thread: ExploredThread) {
        sleepers[cell]?.removeAll { $0 === thread }
    }
    mutating func popSleeper(_ cell: Int) -> ExploredThread? {
        guard let first = sleepers[cell]?.first else { return nil }
        sleepers[cell]?.removeFirst()
        return first
    }

    // MARK: Hash

    func hash(_ threads: [ExploredThread]) -> UInt64 {
        var hash = hashOfValues
        for (cell, waiting) in sleepers {
            hash ^= waiting.reduce(mixed(UInt64(cell) &+ 0x10_0000, 0)) { mixed($0, UInt64($1.id)) }
        }
        guard isWeak else { return hash }
        for (index, cell) in cells.enumerated() where cell.values.count > 1 {
            hash ^= cell.values.reduce(mixed(UInt64(index) &+ 0x50_0000, UInt64(cell.ordered))) { sum, value in
                value.view.positions.reduce(mixed(sum, value.bits)) { mixed($0, UInt64($1)) }
            }
        }
        for thread in threads {
            hash ^= thread.view.positions.reduce(UInt64(thread.id) &+ 0x60_0000) { mixed($0, UInt64($1)) }
        }
        return hash
    }
}
