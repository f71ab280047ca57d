import AIO
import AIOCore
import Glibc

/// `memory KIND COUNT`: the resident memory that COUNT `operations` in flight, idle `connections` or `runtimes` take.
func memory(_ arguments: inout Arguments) async throws {
    let kind = try arguments.text()
    let count = try arguments.number()
    switch kind {
    case "operations": try await memoryOfOperations(count)
    case "connections": try await memoryOfConnections(count)
    case "runtimes": try await memoryOfRuntimes(count)
    default: throw Refusal(text: "\(kind) is none of operations, connections, runtimes")
    }
}

/// Each a task that polls a pipe which stays empty.
private func memoryOfOperations(_ count: Int) async throws {
    var ends: [Int32] = [0, 0]
    guard pipe(&ends) == 0 else { throw Refusal(text: "no pipe: \(errno)") }
    let runtime = try IORuntime()
    let empty = Descriptor.classify(ends[0])
    try await report(count, on: runtime) { _ = try? await runtime.perform(.poll(empty, events: UInt32(POLLIN))) }
}

/// Each a task that reads from a connection whose peer is silent.
private func memoryOfConnections(_ count: Int) async throws {
    let runtime = try IORuntime()
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    try await report(count, on: runtime) {
        var ends: [Int32] = [0, 0]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0 else { return }
        let connection = Connection(adopting: ends[0], runtime: runtime)
        _ = try? await connection.read()
    }
}

/// Starts `count` tasks that stay in flight, and reports the memory that they took. The process then ends with them.
private func report(_ count: Int, on runtime: IORuntime, _ body: @Sendable @escaping () async -> Void) async throws {
    _ = try await runtime.perform(.nop)
    let before = residentBytes()
    for _ in 0..<count {
        _ = Task(executorPreference: runtime.loops[0]) { await body() }
    }
    // All of them are in flight once the loop has begun each.
    let deadline = Turn.now() + 30_000_000_000
    while runtime.inFlightCount < count {
        guard Turn.now() < deadline else {
            throw Refusal(text: "only \(runtime.inFlightCount) of \(count) are in flight after 30 s")
        }
        await Task.yield()
    }
    printMemory(count, since: before)
}

private func memoryOfRuntimes(_ count: Int) async throws {
    // The first also brings what a process has once.
    let first = try IORuntime()
    _ = try await first.perform(.nop)
    let before = residentBytes()
    var runtimes: [IORuntime] = []
    for _ in 0..<count {
        let runtime = try IORuntime()
        _ = try await runtime.perform(.nop)
        runtimes.append(runtime)
    }
    printMemory(count, since: before)
    for runtime in runtimes + [first] { await runtime.shutdown() }
}

private func printMemory(_ count: Int, since before: Int) {
    print("{\"operations\": \(count), \"memory\": \(residentBytes() - before)}")
    fflush(nil)
}

/// The process's resident memory. See proc_pid_statm(5).
private func residentBytes() -> Int {
    let file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
    defer { close(file) }
    var text = [UInt8](repeating: 0, count: 128)
    let count = read(file, &text, text.count)
    let fields = text.prefix(max(0, count)).split(separator: UInt8(ascii: " "))
    guard fields.count > 1, let pages = Int(String(decoding: fields[1], as: UTF8.self)) else { return 0 }
    return pages * sysconf(Int32(_SC_PAGESIZE))
}
