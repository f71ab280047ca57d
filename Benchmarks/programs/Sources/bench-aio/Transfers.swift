import AIO
import AIOCore

/// `perform-nop PLACE COUNT`: one task, one operation at a time.
func performNop(_ arguments: inout Arguments) async throws {
    let place = try arguments.place()
    let count = try arguments.number()
    let runtime = IORuntime.shared
    try await place.run {
        // The first operations start what is started on demand.
        for _ in 0..<64 { _ = try await runtime.perform(.nop) }
        let turn = Turn()
        for _ in 0..<count { _ = try await runtime.perform(.nop) }
        turn.end(count)
    }
}

/// `tasks-read PLACE FILE TASKS COUNT` and `tasks-write`: tasks with one transfer of a block each at a time.
func taskTransfers(_ arguments: inout Arguments, isWrite: Bool) async throws {
    let place = try arguments.place()
    let path = try arguments.path()
    let tasks = try arguments.number()
    let share = try arguments.number() / tasks
    let file = try await File.open(path, isWrite ? .readWrite : .read)
    let blocks = try blockCount(try await file.status().size)
    let turn = Turn()
    try await withThrowingTaskGroup(of: Void.self) { group in
        for task in 0..<tasks {
            group.addTask(executorPreference: place.executor) {
                var buffer = try await IORuntime.shared.acquireBuffer(count: blockSize)
                if isWrite { buffer.fill() }
                for number in (task * share)..<((task + 1) * share) {
                    let place = offset(number, of: blocks)
                    let count =
                        isWrite
                        ? try await file.write(buffer, at: place) : try await file.read(into: &buffer, at: place)
                    precondition(count == blockSize)
                }
            }
        }
        try await group.waitForAll()
    }
    turn.end(tasks * share)
    try await file.close()
}

/// `timed-read FILE TASKS COUNT`: reads by tasks on the loop, each of which is timed.
func timedReads(_ arguments: inout Arguments) async throws {
    let path = try arguments.path()
    let tasks = try arguments.number()
    let share = try arguments.number() / tasks
    let file = try await File.open(path)
    let blocks = try blockCount(try await file.status().size)
    let times = Times()
    let turn = Turn()
    try await withThrowingTaskGroup(of: Void.self) { group in
        for task in 0..<tasks {
            group.addTask(executorPreference: Place.loop.executor) {
                var buffer = try await IORuntime.shared.acquireBuffer(count: blockSize)
                for number in (task * share)..<((task + 1) * share) {
                    let start = Turn.now()
                    let count = try await file.read(into: &buffer, at: offset(number, of: blocks))
                    times.latencies.record(Turn.now() &- start)
                    precondition(count == blockSize)
                }
            }
        }
        try await group.waitForAll()
    }
    times.report(turn, tasks * share)
    try await file.close()
}

extension IOBuffer {
    /// Fills the buffer up to a block, which a write then writes.
    fileprivate mutating func fill() {
        withUnsafeMutableBytes { bytes in
            for index in 0..<blockSize { bytes[index] = 7 }
        }
        count = blockSize
    }
}

private final class Times: @unchecked Sendable {
    // @unchecked: only the loop's thread records, and the report comes after all tasks.
    var latencies = Latencies()

    func report(_ turn: Turn, _ operations: Int) { turn.end(operations, latencies) }
}
