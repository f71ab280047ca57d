import AIO
import AIOCore
import Glibc

/// The paths of an engine, each with its cost.
struct Paths {
    let engine: EngineKind
    let costs: Costs
    let files: Files

    /// All of them: from a task on a loop, and reads from a task elsewhere.
    func measure() async throws {
        var configuration = IORuntime.Configuration()
        configuration.engine = .forced(engine)
        let cached = try IORuntime(configuration)
        try await onLoop(of: cached) {
            try await reads(cached, "cached read")
            try await names(cached)
            try await lines(cached)
            try await connections(cached, "at once")
        }
        await cached.shutdown()
        configuration.inlineAttempts = false
        let runtime = try IORuntime(configuration)
        try await onLoop(of: runtime) {
            try await costs.measure(engine, "nop") { _ in _ = try await runtime.perform(.nop) }
            try await reads(runtime, "read")
            try await writes(runtime)
            try await streams(runtime)
            try await connections(runtime, "through the loop")
        }
        try await reads(runtime, "read by a task elsewhere", expects: false)
        await runtime.shutdown()
        for depth in [64, 16, 1] { try await queueNops(depth) }
        for depth in [64, 1] { try await queueReads(depth, isCold: false) }
        try await queueReads(16, isCold: true)
    }

    private func onLoop(of runtime: IORuntime, _ body: @escaping () async throws -> Void) async throws {
        // Unsafe: the caller waits, and nobody else uses what `body` captures.
        nonisolated(unsafe) let body = body
        try await Task(executorPreference: runtime.loops[0]) { try await body() }.value
    }

    // MARK: Files

    private func reads(_ runtime: IORuntime, _ name: String, expects: Bool = true) async throws {
        let file = try await File.open(files.blocks, runtime: runtime)
        var buffer = try await runtime.acquireBuffer(count: 4096)
        try await costs.measure(engine, name, expects: expects) { index in
            try await file.read(into: &buffer, at: Int64(index % 64) * 4096)
        }
        let deadline = Deadline.after(.seconds(600))
        try await costs.measure(engine, name + ", with a deadline and a new buffer", expects: expects) { index in
            var bytes = try await runtime.acquireBuffer(count: 4096)
            try await file.read(into: &bytes, at: Int64(index % 64) * 4096, deadline: deadline)
        }
        try await file.close()
    }

    private func writes(_ runtime: IORuntime) async throws {
        let file = try await File.open(files.blocks, .readWrite, runtime: runtime)
        let block = [UInt8](repeating: 7, count: 4096)
        try await costs.measure(engine, "write") { index in
            _ = try await file.write(block, at: Int64(index % 64) * 4096)
        }
        try await file.close()
    }

    /// Of files in the caches.
    private func names(_ runtime: IORuntime) async throws {
        try await costs.measure(engine, "open and close") { _ in
            try await File.open(files.small, runtime: runtime).close()
        }
        try await costs.measure(engine, "status of a path") { _ in
            _ = try await FileSystem.status(of: files.small, runtime: runtime)
        }
        try await costs.measure(engine, "whole file of 4 KiB") { _ in
            _ = try await FileSystem.readFile(files.small, runtime: runtime)
        }
    }

    private func lines(_ runtime: IORuntime) async throws {
        try await costs.measure(engine, "line as text", operations: Files.lineCount) { _ in
            try await withFile(files.lines, runtime: runtime) { file in
                for try await line in file.lines() { precondition(line.utf8.count == 57) }
            }
        }
        try await costs.measure(engine, "line as bytes", operations: Files.lineCount) { _ in
            try await withFile(files.lines, runtime: runtime) { file in
                for try await line in file.byteLines() { precondition(line.count == 57) }
            }
        }
        try await costs.measure(engine, "line of a batch", operations: Files.lineCount) { _ in
            try await withFile(files.lines, runtime: runtime) { file in
                for try await batch in file.lineBatches() { batch.forEachLine { precondition($0.byteCount == 57) } }
            }
        }
    }

    // MARK: Streams

    /// Reads that wait for data.
    private func streams(_ runtime: IORuntime) async throws {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw IOError(.tooManyOpenFiles, "pipe", errno: Errno(rawValue: errno)) }
        let reader = File(adopting: ends[0], runtime: runtime)
        let writer = ends[1]
        let block = [UInt8](repeating: 7, count: 1)
        var buffer = try await runtime.acquireBuffer(count: 4096)
        try await costs.measure(engine, "read of a pipe") { _ in
            _ = Glibc.write(writer, block, 1)
            try await reader.read(into: &buffer, at: 0)
        }
        try await reader.close()
        close(writer)
    }

    /// Reads and writes on a connection, and datagrams.
    private func connections(_ runtime: IORuntime, _ name: String) async throws {
        let (one, other) = try Connection.pair(runtime: runtime)
        let block = [UInt8](repeating: 7, count: 100)
        var room = [UInt8](repeating: 0, count: 100)
        try await costs.measure(engine, "connection, " + name) { _ in
            try await one.writeAll(block)
            var elements = room.mutableSpan
            var bytes = elements.mutableBytes
            try await other.readExactly(into: &bytes)
        }
        for end in [one, other] { try await end.close() }
        let socket = try await DatagramSocket.bind(to: .v4(.loopback, port: 0), runtime: runtime)
        let address = try socket.localAddress()
        try await costs.measure(engine, "datagrams, " + name) { _ in
            try await socket.send(block, to: address)
            var elements = room.mutableSpan
            var bytes = elements.mutableBytes
            _ = try await socket.receive(into: &bytes)
        }
        try await socket.close()
    }

    // MARK: Queues

    private func queue(_ depth: Int) throws(IOError) -> IOQueue {
        var configuration = IOQueue.Configuration()
        configuration.engine = .forced(engine)
        configuration.queueDepth = depth
        return try IOQueue(configuration)
    }

    private func queueNops(_ depth: Int) async throws {
        let queue = try queue(depth)
        try await costs.measure(engine, "IOQueue, nop, depth \(depth)", operations: depth) { _ in
            for _ in 0..<depth { try queue.prepare(.nop) }
            try queue.wait(atLeast: depth)
            queue.drain { _, _ in }
        }
    }

    private func queueReads(_ depth: Int, isCold: Bool) async throws {
        let queue = try queue(depth)
        let file = try await File.open(files.blocks)
        let memory = UnsafeMutableRawPointer.allocate(byteCount: depth * 4096, alignment: 4096)
        defer { memory.deallocate() }
        let name = "IOQueue, \(isCold ? "cold" : "cached") read, depth \(depth)"
        try await costs.measure(engine, name, operations: depth, isSteady: !isCold) { round in
            if isCold { posix_fadvise(file.descriptor.number, 0, 0, POSIX_FADV_DONTNEED) }
            for place in 0..<depth {
                let offset = Int64((round * depth + place) % 64) * 4096
                try queue.prepare(
                    .read(Transfer(file.descriptor, memory + place * 4096, count: 4096, offset: offset)))
            }
            try queue.wait(atLeast: depth)
            queue.drain { _, _ in }
        }
        try await file.close()
    }
}
