// Executes operations on every hot path and every engine, prints the number of allocations, and fails if a path
// allocates per operation: `swift run -c release allocation-counter`. The counts are meaningful in release builds only;
// debug builds allocate anyway.
import AIO
import AIOCore
import CAllocationCount
import Glibc

let operationCount = 2000

/// Paths that allocate per operation.
nonisolated(unsafe) var failures: [String] = []

/// Reports the allocations since `before`. A queue may grow once more after the warm-up, or a worker may start, but no
/// path may allocate per operation. A task that no loop runs is resumed by libdispatch, which allocates: such counts
/// are printed and do not fail.
func report(_ engine: EngineKind, _ path: String, since before: Int, isOurs: Bool = true) {
    let after = allocation_count()
    guard after >= 0 else { return failures.append("\(path): a sanitizer's allocator is not counted") }
    print("\(after - before) allocations for \(operationCount) operations: \(engine), \(path)")
    if isOurs, (after - before) * 50 > operationCount { failures.append("\(engine), \(path)") }
}

/// Counts the allocations of `body` for `operationCount` operations, after as many for warm-up.
func count(_ engine: EngineKind, _ path: String, isOurs: Bool = true, _ body: (Int) async throws -> Void) async throws {
    for index in 0..<operationCount { try await body(index) }
    let before = allocation_count()
    for index in 0..<operationCount { try await body(index) }
    report(engine, path, since: before, isOurs: isOurs)
}

/// All paths, from a task on a loop; and reads from a task elsewhere, for whose every resumption libdispatch allocates.
func run(_ engine: EngineKind, _ path: Path) async throws {
    var configuration = IORuntime.Configuration()
    configuration.engine = .forced(engine)
    let cached = try IORuntime(configuration)
    try await countReads(engine, cached, path, "cached read")
    try await countConnections(engine, cached, "at once")
    await cached.shutdown()
    configuration.inlineAttempts = false
    let runtime = try IORuntime(configuration)
    try await Task(executorPreference: runtime.loops[0]) {
        try await countReads(engine, runtime, path, "read")
        try await countWrites(engine, runtime, path)
        try await countStreams(engine, runtime)
        try await countConnections(engine, runtime, "through the loop")
    }.value
    try await countReads(engine, runtime, path, "read by a task elsewhere", isOurs: false)
    await runtime.shutdown()
    try await countQueue(engine, path)
}

func countReads(_ engine: EngineKind, _ runtime: IORuntime, _ path: Path, _ name: String, isOurs: Bool = true)
    async throws
{
    let file = try await File.open(path, runtime: runtime)
    var buffer = try await runtime.acquireBuffer(count: 4096)
    for index in 0..<operationCount { try await file.read(into: &buffer, at: Int64(index % 64) * 4096) }
    let before = allocation_count()
    for index in 0..<operationCount { try await file.read(into: &buffer, at: Int64(index % 64) * 4096) }
    report(engine, name, since: before, isOurs: isOurs)
    let deadline = Deadline.after(.seconds(600))
    try await count(engine, name + ", with a deadline", isOurs: isOurs) { index in
        var bytes = try await runtime.acquireBuffer(count: 4096)
        try await file.read(into: &bytes, at: Int64(index % 64) * 4096, deadline: deadline)
    }
    try await file.close()
}

func countWrites(_ engine: EngineKind, _ runtime: IORuntime, _ path: Path) async throws {
    let file = try await File.open(path, .readWrite, runtime: runtime)
    let block = [UInt8](repeating: 7, count: 4096)
    try await count(engine, "write") { index in
        _ = try await file.write(block, at: Int64(index % 64) * 4096)
    }
    try await file.close()
}

/// Reads that wait for data.
func countStreams(_ engine: EngineKind, _ runtime: IORuntime) async throws {
    var ends: [Int32] = [0, 0]
    guard pipe(&ends) == 0 else { throw IOError(.tooManyOpenFiles, "pipe", errno: Errno(rawValue: errno)) }
    let reader = File(adopting: ends[0], runtime: runtime)
    let writer = ends[1]
    let block = [UInt8](repeating: 7, count: 1)
    var buffer = try await runtime.acquireBuffer(count: 4096)
    var before = 0
    for round in 0..<2 {
        before = allocation_count()
        for _ in 0..<operationCount {
            _ = Glibc.write(writer, block, 1)
            try await reader.read(into: &buffer, at: 0)
        }
        if round == 1 { report(engine, "read of a pipe", since: before) }
    }
    try await reader.close()
    close(writer)
}

/// Reads and writes on a connection, and datagrams.
func countConnections(_ engine: EngineKind, _ runtime: IORuntime, _ name: String) async throws {
    let (one, other) = try Connection.pair(runtime: runtime)
    let block = [UInt8](repeating: 7, count: 100)
    var room = [UInt8](repeating: 0, count: 100)
    try await count(engine, "connection, " + name) { _ in
        try await one.writeAll(block)
        var elements = room.mutableSpan
        var bytes = elements.mutableBytes
        try await other.readExactly(into: &bytes)
    }
    for end in [one, other] { try await end.close() }
    let socket = try await DatagramSocket.bind(to: .v4(.loopback, port: 0), runtime: runtime)
    let address = try socket.localAddress()
    try await count(engine, "datagrams, " + name) { _ in
        try await socket.send(block, to: address)
        var elements = room.mutableSpan
        var bytes = elements.mutableBytes
        _ = try await socket.receive(into: &bytes)
    }
    try await socket.close()
}

func countQueue(_ engine: EngineKind, _ path: Path) async throws {
    var configuration = IOQueue.Configuration()
    configuration.engine = .forced(engine)
    configuration.queueDepth = 16
    let queue = try IOQueue(configuration)
    let file = try await File.open(path)
    let memory = UnsafeMutableRawPointer.allocate(byteCount: 16 * 4096, alignment: 4096)
    defer { memory.deallocate() }
    for isCold in [false, true] {
        try await count(engine, isCold ? "IOQueue, cold" : "IOQueue, cached") { index in
            if isCold, index % 64 == 0 { posix_fadvise(file.descriptor.number, 0, 0, POSIX_FADV_DONTNEED) }
            let place = index % 16
            try queue.prepare(
                .read(Transfer(file.descriptor, memory + place * 4096, count: 4096, offset: Int64(index % 64) * 4096)))
            if place == 15 {
                try queue.wait(atLeast: 16)
                queue.drain { _, _ in }
            }
        }
    }
    try await file.close()
}

/// A file of 64 blocks, removed at the end.
var template = Array("/var/tmp/allocation-counter.XXXXXX".utf8CString)
let descriptor = mkstemp(&template)
guard descriptor >= 0, ftruncate(descriptor, 64 * 4096) == 0 else {
    perror("allocation-counter: a temporary file in /var/tmp")
    exit(1)
}
nonisolated let path = Path(bytes: template.dropLast().map { UInt8(bitPattern: $0) })
let zeros = [UInt8](repeating: 1, count: 64 * 4096)
_ = Glibc.write(descriptor, zeros, zeros.count)
fdatasync(descriptor)

// Off the main actor: switching to it allocates, which is the caller's own cost.
await Task.detached {
    for engine in EngineKind.allCases {
        do {
            try await run(engine, path)
        } catch {
            failures.append("\(engine): \(error)")
        }
    }
}.value
for failure in failures { print("allocates: \(failure)") }
unlink(template)
exit(failures.isEmpty ? 0 : 1)
