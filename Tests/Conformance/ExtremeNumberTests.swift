import AIO
import AIOCore
import CKernel
import Glibc
import Testing
import UnitSupport

/// Numbers at and beyond the ends of their ranges, in every parameter of the API that takes one. They lead to an error
/// or to the right result, never to a crash. The combinations are random; the seed is printed.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct ExtremeNumberTests {
    @Test(arguments: engines)
    func noNumberEndsTheProgram(_ engine: EngineKind) async throws {
        var generator = SeededGenerator("extreme numbers")
        try await withScratch { scratch in
            let path = try scratch.file("file", Array("one\ntwo\n".utf8))
            try await withRuntime(engine, { $0.log = { _ in } }) { runtime in
                for _ in 0..<12 {
                    let numbers = Numbers(&generator)
                    let file = try await File.open(Path(path), .readWrite, runtime: runtime)
                    await files(file, numbers)
                    await readers(file, numbers)
                    try await file.truncate(to: 8)
                    try await file.close()
                    await streams(runtime, numbers)
                    await others(scratch, runtime, numbers)
                    await configurations(engine, numbers)
                    try await operations(engine, path, numbers)
                }
            }
        }
    }

    /// Counts beyond the data return the data.
    @Test(arguments: engines)
    func hugeCountsBringWhatThereIs(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let content = Array("one\ntwo".utf8)
            let path = try scratch.file("file", content)
            try await withRuntime(engine) { runtime in
                let file = try await File.open(Path(path), runtime: runtime)
                #expect(try await file.read(upTo: .max, at: 0) == content)
                await expectError(.unexpectedEndOfFile) { try await file.readExactly(count: .max, at: 0) }
                var lines: [String] = []
                for try await line in file.lines(limit: .max) { lines.append(line) }
                #expect(lines == ["one", "two"])
                let reader = try BufferedReader(file)
                #expect(try await reader.read(upTo: .max) == content)
                let again = try BufferedReader(file)
                await expectError(.unexpectedEndOfFile) { try await again.readExactly(count: .max) }
                #expect(try await again.readExactly(count: 3) == Array("one".utf8))
                try await file.close()
                let (one, other) = try Connection.pair(runtime: runtime)
                try await other.writeAll(content)
                #expect(try await one.read(upTo: .max) == content)
                try await other.close()
                await expectError(.unexpectedEndOfFile) { try await one.readExactly(count: .max) }
                try await one.close()
            }
        }
    }

    @Test(arguments: engines)
    func largeCountsThatCanBeHadAreReadWhole(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(scratch.path("large"))
            try await withRuntime(engine) { runtime in
                try await withFile(path, .readWrite, options: .create, runtime: runtime) { file in
                    let size = 40 << 20
                    try await file.truncate(to: Int64(size))
                    for offset in [0, 17 << 20, size - 1] { try await file.writeAll([9], at: Int64(offset)) }
                    let all = try await file.readExactly(count: size, at: 0)
                    #expect(all.count == size && all[0] == 9 && all[17 << 20] == 9 && all[size - 1] == 9 && all[1] == 0)
                    let reader = try BufferedReader(file)
                    #expect(try await reader.readExactly(count: 2) == [9, 0])
                    #expect(try await reader.readExactly(count: size - 2) == Array(all[2...]))
                    #expect(reader.position == Int64(size))
                    #expect(try await file.read(upTo: size * 2, at: 5).count <= size - 5)
                }
            }
        }
    }

    @Test func aWriterNearTheLargestOffsetSaysSo() async throws {
        try await withScratch { scratch in
            try await withFile(Path(scratch.path("file")), .write, options: .create) { file in
                for offset in [Int64.max, .max - 1, .max - 3] as [Int64] {
                    let writer = try BufferedWriter(file, at: offset, bufferSize: 2)
                    await expectError(.invalidArgument) { try await writer.write([1, 2, 3, 4]) }
                    try await writer.close()
                }
                let reader = try BufferedReader(file, at: .max - 1)
                await expectError(.invalidArgument) { try await reader.skip(.max) }
            }
        }
    }

    // MARK: -

    /// Numbers at the ends of their types, and near the library's limits.
    struct Numbers: Sendable {
        let offsets: [Int64]
        let counts: [Int]
        let durations: [Duration]

        init(_ generator: inout SeededGenerator) {
            let bits: [Int64] = (0...62).map { Int64(1) << Int64($0) }
            var ends: [Int64] = [
                .min, .min + 1, -1, 0, 1, .max - 1, .max, .max - 4096, Int64(Int32.max), Int64(UInt32.max),
            ]
            for bit in bits.shuffled(using: &generator).prefix(6) { ends += [bit &- 1, bit, bit &+ 1] }
            offsets = ends.shuffled(using: &generator)
            // Without counts for which an array can be allocated and would fill the memory.
            counts = offsets.map { Int($0) }.filter { $0 < 1 << 26 || $0 > 1 << 44 }
            durations = [
                .zero, .nanoseconds(Int64.max), .seconds(Int64.max), .seconds(Int64.min), .seconds(-1), .nanoseconds(1),
                Duration(secondsComponent: .max, attosecondsComponent: 999_999_999_999_999_999),
            ]
        }

        func offset(_ index: Int) -> Int64 { offsets[index % offsets.count] }
        func count(_ index: Int) -> Int { counts[index % counts.count] }
    }

    /// An `IOError` is fine; anything else fails or ends the test.
    private func attempt<R>(_ body: () async throws -> R) async {
        do { _ = try await body() } catch { #expect(error is IOError, "\(error)") }
    }

    /// The range of `count` bytes, or back to where their end wraps around.
    private func range(_ start: Int64, _ count: Int64) -> Range<Int64> {
        let end = start &+ count
        return min(start, end)..<max(start, end)
    }

    private func files(_ file: File, _ n: Numbers) async {
        for (index, offset) in n.offsets.enumerated() {
            let count = n.count(index)
            let deadline = Deadline.after(.seconds(2))
            await attempt { try await file.read(upTo: count, at: offset, deadline: deadline) }
            await attempt { try await file.readExactly(count: count, at: offset, deadline: deadline) }
            await attempt { try await file.write([1, 2, 3], at: offset) }
            await attempt { try await file.writeAll([1, 2, 3], at: offset) }
            await attempt { try await file.truncate(to: min(offset, 1 << 20)) }
            // Where the file system allows it, the file is huge now, and reading it would take for ever.
            await attempt { try await file.truncate(to: 8) }
            let short = range(offset, min(n.offset(index + 1), 1 << 20))
            await attempt { try await file.allocate(range: short, .keepSize) }
            await attempt { try await file.punchHole(range: range(offset, n.offset(index + 2))) }
            await attempt { try await file.advise(.normal, range: range(offset, n.offset(index + 3))) }
            await attempt { try await file.syncRange(range(offset, n.offset(index + 4))) }
            await attempt { try await file.nextData(from: offset) }
            await attempt { try await file.nextHole(from: offset) }
            let other = n.offset(index + 5)
            await attempt { try await file.tryLock(range: min(offset, other)..<max(offset, other)) }
            await attempt { try await file.unlock() }
            await attempt { try await file.setTimes(modification: .at(n.durations[index % n.durations.count])) }
            await attempt {
                try await file.read(upTo: 1, at: 0, deadline: .after(n.durations[index % n.durations.count]))
            }
            var vector = IOVector(capacity: count)
            await attempt { vector.append(try await file.runtime.acquireBuffer(count: 1)) }
            await attempt { try await file.read(into: &vector, at: offset) }
            await attempt { _ = try await file.runtime.acquireBuffer(count: count) }
        }
    }

    private func readers(_ file: File, _ n: Numbers) async {
        for (index, offset) in n.offsets.enumerated() {
            let count = n.count(index)
            await attempt {
                let reader = try BufferedReader(file, at: offset, bufferSize: max(1, min(count, 4096)))
                await attempt { try await reader.read(upTo: count) }
                await attempt { try await reader.readExactly(count: count) }
                await attempt { try await reader.read(until: 10, limit: count) }
                await attempt { try await reader.peek(upTo: count) }
                await attempt { try await reader.skip(n.offset(index + 1)) }
                await attempt { try await reader.readExactly(count: count) }
            }
            await attempt { _ = try BufferedReader(file, bufferSize: count) }
            await attempt {
                let writer = try BufferedWriter(file, at: offset, bufferSize: 2, inFlightLimit: count)
                await attempt { try await writer.write([1, 2, 3]) }
                try await writer.close()
            }
            await attempt { try await file.truncate(to: 8) }
            await attempt { for try await _ in file.lines(limit: count) {} }
            let other = n.offset(index + 2)
            await attempt {
                let chunks = file.chunks(
                    of: count, range: min(offset, other)..<max(offset, other), readahead: n.count(index + 3))
                for try await _ in chunks { break }
            }
        }
    }

    private func streams(_ runtime: IORuntime, _ n: Numbers) async {
        for (index, count) in n.counts.enumerated() {
            await attempt {
                let (one, other) = try Connection.pair(runtime: runtime)
                try await other.writeAll([1, 2, 3, 10])
                await attempt { try await one.read(upTo: count) }
                try await other.writeAll([1, 2, 3, 10])
                try await other.close()
                await attempt { try await one.readExactly(count: count) }
                await attempt { try await one.readToEnd(limit: count) }
                await attempt { for try await _ in one.lines(limit: count) {} }
                await attempt { for try await _ in one.chunks(of: count) {} }
                await attempt { try one.rawOption(level: Int32(truncatingIfNeeded: count), name: 1, capacity: count) }
                await attempt { try one.setOption(.sendBufferSize, to: count) }
                let duration = n.durations[index % n.durations.count]
                await attempt { try one.setOption(.keepAliveIdle, to: duration) }
                await attempt { try one.setOption(.linger, to: duration) }
                await attempt { try one.setOption(.linger, to: nil) }
                try await one.close()
            }
            await attempt {
                let (reader, writer) = try await Pipe.make(capacity: count, runtime: runtime)
                try await reader.close()
                try await writer.close()
            }
            await attempt {
                let socket = try await DatagramSocket.bind(to: .v4(.loopback, port: 0), runtime: runtime)
                await attempt { try await socket.receive(upTo: count, deadline: .now) }
                try await socket.send([1], to: try socket.localAddress())
                await attempt { try await socket.receive(upTo: count, deadline: .after(.seconds(2))) }
                try await socket.close()
            }
            await attempt {
                let address = SocketAddress.v4(.loopback, port: 0)
                try await AIO.Listener.listen(on: address, backlog: count, runtime: runtime).close()
            }
        }
    }

    private func others(_ scratch: Scratch, _ runtime: IORuntime, _ n: Numbers) async {
        let path = Path(scratch.path("file"))
        for (index, count) in n.counts.enumerated() {
            await attempt { try await Paths.readFile(path, limit: count, runtime: runtime) }
            let duration = n.durations[index % n.durations.count]
            await attempt { try await Paths.setTimes(of: path, modification: .at(duration), runtime: runtime) }
            await attempt {
                let ticks = runtime.ticks(every: duration, from: .after(n.durations[(index + 1) % n.durations.count]))
                let task = Task { for try await _ in ticks { break } }
                task.cancel()
                try await task.value
            }
            var options = CopyOptions()
            options.depth = count
            if count < 1 || count > 256 {
                let copy = Path(scratch.path("copy"))
                await expectError(.invalidArgument) {
                    try await Paths.copy(path, to: copy, options: options, runtime: runtime)
                }
            }
            await attempt { try ChildProcess(adopting: Int32(truncatingIfNeeded: count) | .min, runtime: runtime) }
            await attempt {
                try await Signals([Signal(rawValue: Int32(truncatingIfNeeded: count) | 64)], runtime: runtime).close()
            }
            await attempt { _ = try OperationGroup(limit: count > 1 << 20 ? count : -1, runtime: runtime) }
            let deadline = Deadline.now + duration
            #expect(deadline + n.durations[0] == deadline)
        }
    }

    private func configurations(_ engine: EngineKind, _ n: Numbers) async {
        for (index, count) in n.counts.enumerated() where count < 1 || count > 1 << 26 {
            var configuration = IORuntime.Configuration()
            configuration.engine = .forced(engine)
            switch index % 4 {
            case 0: configuration.loops = count
            case 1: configuration.queueDepth = count
            case 2: configuration.workerLimit = count
            default: configuration.waitingLimit = count == 0 ? -1 : count
            }
            await expectError(.invalidArgument) { try IORuntime(configuration) }
            var queue = IOQueue.Configuration()
            queue.engine = .forced(engine)
            if index % 2 == 0 { queue.queueDepth = count } else { queue.workerLimit = count }
            await expectError(.invalidArgument) { try IOQueue(queue) }
        }
    }

    /// Raw operations, which the API does not check first.
    private func operations(_ engine: EngineKind, _ path: String, _ n: Numbers) async throws {
        try await withQueue(engine) { queue in
            let memory = Memory(count: 8)
            let opened = try openDescriptor(path, O_RDWR)
            defer { closeDescriptor(opened) }
            for (index, offset) in n.offsets.enumerated() {
                let (other, file) = (n.offset(index + 1), Descriptor.classify(opened))
                let wild = Descriptor(Int32(truncatingIfNeeded: offset) | .min)
                let moved = UInt32(truncatingIfNeeded: other)
                let operations: [AIOCore.Operation] = [
                    .read(Transfer(file, memory.base, count: 8, offset: offset)),
                    .read(Transfer(file, nil, count: n.count(index), offset: offset)),
                    .readVectored(Transfer(file, nil, count: n.count(index), offset: offset)),
                    .syncRange(file, offset: offset, count: other, flags: moved),
                    .advise(file, offset: offset, count: other, advice: Int32(truncatingIfNeeded: other)),
                    .truncate(wild, size: offset), .sync(wild, .full), .poll(wild, events: moved),
                    .splice(
                        Splice(
                            from: file, inputOffset: offset, to: file, outputOffset: other, count: moved, flags: moved)),
                    .timeout(deadline: UInt64(bitPattern: min(offset, 0) &- (offset > 0 ? .min : 0))),
                    .repeatingTimeout(first: UInt64(bitPattern: offset), interval: UInt64(bitPattern: other)),
                    .cancel(target: Token(rawValue: UInt64(bitPattern: offset))),
                    .buffers(.provide(group: UInt16(truncatingIfNeeded: offset), buffer: .max)),
                    .buffers(.unregister(group: UInt16(truncatingIfNeeded: other))),
                    .read(
                        Transfer(file, memory.base, count: 8, offset: 0, bufferIndex: UInt16(truncatingIfNeeded: other))
                    ),
                    .read(Transfer(.registered(Int32(truncatingIfNeeded: offset)), memory.base, count: 8, offset: 0)),
                ]
                for operation in operations {
                    try queue.prepare(operation, deadline: .after(n.durations[index % n.durations.count]))
                }
                _ = try queue.wait(atLeast: n.count(index), deadline: .soon)
                queue.requestCancelAll()
                while queue.inFlightCount > 0 {
                    _ = try queue.wait()
                    queue.drain { _, _ in }
                }
            }
        }
    }
}
