import AIO
import AIOCore
import CKernel
import Glibc
import Testing
import UnitSupport

/// Random programs over the API: several tasks read, write, sync, open, close, wait, send and receive, under tiny
/// limits, with cancels and deadlines at random moments and a shutdown in the middle. All data are verified, and at the
/// end no descriptor, thread, buffer or operation may be left.
struct APIFuzzer {
    let engine: EngineKind
    let scratch: Scratch
    private(set) var programCount = 0
    private(set) var operationCount = 0

    init(_ engine: EngineKind, _ scratch: Scratch) {
        self.engine = engine
        self.scratch = scratch
    }

    /// Runs one program.
    mutating func run(_ generator: inout SeededGenerator) async throws {
        let path = try scratch.file("fuzz\(programCount)", [UInt8](repeating: 0, count: Party.regionSize * 8))
        programCount += 1
        var configuration = IORuntime.Configuration()
        configuration.engine = .forced(engine)
        configuration.log = { _ in }
        configuration.queueDepth = Int.random(in: 1...6, using: &generator)
        configuration.waitingLimit = Int.random(in: 0...4, using: &generator)
        configuration.workerLimit = Int.random(in: 1...3, using: &generator)
        configuration.loops = Int.random(in: 1...2, using: &generator)
        configuration.inlineAttempts = Bool.random(using: &generator)
        configuration.atLimit = Int.random(in: 0..<8, using: &generator) == 0 ? .fail : .wait
        let runtime = try IORuntime(configuration)
        let parties = (0..<Int.random(in: 1...8, using: &generator)).map { index in
            Party(
                index, path, scratch, runtime, SplitMix(generator.next()),
                steps: Int.random(in: 1...24, using: &generator))
        }
        let tasks = parties.map { party in Task { try await party.run() } }
        try await disturb(tasks, runtime, &generator)
        for task in tasks {
            do { operationCount += try await task.value } catch let error as IOError {
                // The whole task was cancelled, or started after the shutdown.
                #expect(Party.expected.contains(error.code), "\(error)")
            }
        }
        await runtime.shutdown(Bool.random(using: &generator) ? .drain : .cancel)
        #expect(runtime.inFlightCount == 0)
        #expect(runtime.bufferBytesInUse == 0)
        unlink(path)
    }

    /// Cancels tasks, all operations, or the runtime, at a random moment.
    private func disturb(
        _ tasks: [Task<Int, any Error>], _ runtime: IORuntime, _ generator: inout SeededGenerator
    ) async throws {
        for _ in 0..<Int.random(in: 0..<400, using: &generator) { await Task.yield() }
        switch Int.random(in: 0..<6, using: &generator) {
        case 0: tasks.randomElement(using: &generator)?.cancel()
        case 1: for task in tasks { task.cancel() }
        case 2:
            for _ in 0..<3 { _ = try? await runtime.requestCancelAll() }
        case 3: await runtime.shutdown(.cancel)
        default: break
        }
    }
}

/// One task of a program, with a region of the file that no other task writes.
private final class Party: @unchecked Sendable {
    // @unchecked: only its task uses it.
    static let regionSize = 64 << 10
    static let expected: Set<IOError.Code> = [
        .cancelled, .deadlineExceeded, .runtimeShutDown, .limitReached, .fileClosed,
    ]

    private let index: Int
    private let path: Path
    private let scratch: Scratch
    private let runtime: IORuntime
    private var random: SplitMix
    private let steps: Int
    /// The expected content of the region.
    private var content = [UInt8](repeating: 0, count: Party.regionSize)
    private var count = 0

    init(_ index: Int, _ path: String, _ scratch: Scratch, _ runtime: IORuntime, _ random: SplitMix, steps: Int) {
        self.index = index
        self.path = Path(path)
        self.scratch = scratch
        self.runtime = runtime
        self.random = random
        self.steps = steps
    }

    /// Returns the number of operations.
    func run() async throws -> Int {
        let file = try await File.open(path, .readWrite, runtime: runtime)
        do {
            for _ in 0..<steps {
                do { try await step(file) } catch let error as IOError {
                    guard Self.expected.contains(error.code) else {
                        Issue.record("\(error)")
                        break
                    }
                }
                count += 1
            }
        }
        try? await file.close()
        try compare()
        return count
    }

    private func deadline() -> Deadline {
        switch Int.random(in: 0..<8, using: &random) {
        case 0: .now
        case 1: .after(.microseconds(Int.random(in: 0..<300, using: &random)))
        case 2: .after(.milliseconds(2))
        default: .never
        }
    }

    private func step(_ file: File) async throws {
        switch Int.random(in: 0..<15, using: &random) {
        case 0, 1: try await write(file)
        case 2, 3: try await read(file)
        case 4: try await file.sync(Bool.random(using: &random) ? .data : .full, deadline: deadline())
        case 5: try await talk(ofPipe: false)
        case 6: try await talk(ofPipe: true)
        case 7: try await replace()
        case 8: try await waitInVain()
        case 9:
            let size = Int.random(in: 1...(1 << 20), using: &random)
            let buffer = try await runtime.acquireBuffer(count: size)
            #expect(buffer.count == size)
        case 10: _ = try await Paths.status(of: path, runtime: runtime, deadline: deadline())
        case 11: try await device()
        case 12: try await memoryThatIsNotThere()
        case 13: try await append()
        default: try await lines()
        }
    }

    /// After a cancel or a deadline, nothing of the write has happened.
    private func write(_ file: File) async throws {
        let count = Int.random(in: 1...8192, using: &random)
        let start = Int.random(in: 0...(Self.regionSize - count), using: &random)
        let bytes = [UInt8](repeating: UInt8.random(in: 1...255, using: &random), count: count)
        let offset = Int64(index * Self.regionSize + start)
        let written: Int
        if Bool.random(using: &random) {
            written = try await file.write(bytes, at: offset, deadline: deadline())
        } else {
            let half = Int.random(in: 0...count, using: &random)
            let pieces = [Array(bytes[..<half]), Array(bytes[half...])]
            written = try await file.write(pieces: pieces, at: offset, deadline: deadline())
        }
        content.replaceSubrange(start..<start + written, with: bytes[..<written])
    }

    private func read(_ file: File) async throws {
        let count = Int.random(in: 1...16384, using: &random)
        let start = Int.random(in: 0...(Self.regionSize - count), using: &random)
        let bytes = try await file.readExactly(
            count: count, at: Int64(index * Self.regionSize + start), deadline: deadline())
        #expect(bytes == Array(content[start..<start + count]), "party \(index) read something else")
    }

    /// Bytes arrive in order, each once; the sender may be cut short.
    private func talk(ofPipe: Bool) async throws {
        let (reader, writer, close) = try await ends(ofPipe)
        let total = Int.random(in: 1...200_000, using: &random)
        let message = (0..<total).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        // A reader may occupy the only slot while the writer waits for it; so both have a deadline.
        let limit = Deadline.after(.milliseconds(200))
        let (readDeadline, writeDeadline) = (min(deadline(), limit), min(deadline(), limit))
        let sending = Task {
            defer { Task { try? await close.writer() } }
            try await writer.writeAll(message, deadline: writeDeadline)
        }
        var received: [UInt8] = []
        var failure: (any Error)?
        do {
            while true {
                let piece = try await reader.read(upTo: 30_000, deadline: readDeadline)
                if piece.isEmpty { break }
                received += piece
            }
        } catch { failure = error }
        try? await close.reader()
        // The send ends once its reader is closed.
        let sent = await sending.result
        #expect(message.starts(with: received), "bytes came out of order")
        if failure == nil, case .success = sent { #expect(received.count == total) }
        if let failure { throw failure }
    }

    private typealias Closing = (reader: @Sendable () async throws -> Void, writer: @Sendable () async throws -> Void)

    private func ends(_ ofPipe: Bool) async throws -> (any ReadableStream, any WritableStream, Closing) {
        if ofPipe {
            let (reader, writer) = try await Pipe.make(runtime: runtime)
            return (reader, writer, ({ try await reader.close() }, { try await writer.close() }))
        }
        let (one, other) = try Connection.pair(runtime: runtime)
        return (one, other, ({ try await one.close() }, { try await other.close() }))
    }

    private func replace() async throws {
        let own = Path(scratch.path("own\(index)"))
        let bytes = [UInt8](repeating: UInt8(index), count: Int.random(in: 0...5000, using: &random))
        defer { _ = own.description.withCString { unlink($0) } }
        try await Paths.replaceFile(own, bytes, durability: .none, runtime: runtime, deadline: deadline())
        #expect(try await Paths.readFile(own, runtime: runtime) == bytes)
    }

    /// Some of these devices do not support RWF_NOWAIT.
    private func device() async throws {
        let name = ["/dev/zero", "/dev/null", "/dev/urandom", "/dev/full"][Int.random(in: 0..<4, using: &random)]
        let descriptor = try openDescriptor(name, O_RDWR | (Bool.random(using: &random) ? O_NONBLOCK : 0))
        defer { closeDescriptor(descriptor) }
        let memory = Memory([UInt8](repeating: 1, count: 300))
        if Bool.random(using: &random) {
            let count = try await runtime.perform(.read(memory.transfer(descriptor)), deadline: deadline())
            #expect(count == (name == "/dev/null" ? 0 : 300))
        } else {
            let write = Operation.write(memory.transfer(descriptor))
            try await expect(name == "/dev/full" ? -ENOSPC : 300, write)
        }
    }

    /// On a file, with and without O_DIRECT: the result is the kernel's, and the file does not change.
    private func memoryThatIsNotThere() async throws {
        var flags = O_RDWR
        if Bool.random(using: &random) { flags |= Int32(CK_O_DIRECT) }
        if Bool.random(using: &random) { flags |= O_NONBLOCK }
        let descriptor = try openDescriptor(path.description, flags)
        defer { closeDescriptor(descriptor) }
        let nowhere = try #require(UnsafeMutableRawPointer(bitPattern: 4096))
        let inFile = Descriptor.classify(descriptor)
        if Bool.random(using: &random) {
            let offset = Int64(index * Self.regionSize)
            try await expect(-EFAULT, .read(Transfer(inFile, nowhere, count: 8192, offset: offset)))
        } else {
            let end = Int64(Self.regionSize * 8)
            let flags: TransferFlags = Bool.random(using: &random) ? .append : []
            try await expect(-EFAULT, .write(Transfer(inFile, nowhere, count: 8192, offset: end, flags: flags)))
        }
    }

    /// Performs an operation that must complete with `expected` (a negative errno is a failure), unless it is
    /// cancelled.
    private func expect(_ expected: Int32, _ operation: Operation) async throws {
        do throws(IOError) {
            #expect(try await runtime.perform(operation, deadline: deadline()) == expected)
        } catch {
            guard let errno = error.errno?.rawValue, errno != ECANCELED else { throw error }
            #expect(-errno == expected, "\(operation)")
        }
    }

    /// Waits for data that never come, until a deadline, a cancel or a close.
    private func waitInVain() async throws {
        let runtime = runtime
        let (reader, writer) = try await Pipe.make(runtime: runtime)
        let choice = Int.random(in: 0..<3, using: &random)
        let waiting = Task { () -> [UInt8] in
            try await reader.read(upTo: 1, deadline: choice == 0 ? .after(.milliseconds(1)) : .never)
        }
        for _ in 0..<Int.random(in: 0..<50, using: &random) { await Task.yield() }
        if choice == 1 { waiting.cancel() }
        if choice == 2 { try? await reader.close() }
        if case .success(let bytes) = await waiting.result { #expect(bytes.isEmpty) }
        try? await reader.close()
        try? await writer.close()
    }

    /// After a cancel or a deadline nothing was appended.
    private func append() async throws {
        let own = Path(scratch.path("append\(index)"))
        defer { _ = own.description.withCString { unlink($0) } }
        let file = try await File.open(own, .readWrite, options: .create, runtime: runtime)
        var (expected, failure) = ([UInt8](), IOError?.none)
        for round in UInt8(0)..<10 {
            let bytes = [UInt8](repeating: round, count: Int.random(in: 0...3000, using: &random))
            do throws(IOError) {
                let place = try await file.append(bytes, deadline: deadline())
                #expect(place.offset == expected.count && place.count == bytes.count)
                expected += bytes
            } catch {
                failure = error
            }
        }
        try? await file.close()
        #expect(try scratch.content("append\(index)") == expected)
        if let failure { throw failure }
    }

    private func lines() async throws {
        let own = Path(scratch.path("lines\(index)"))
        let text = (0..<Int.random(in: 0...300, using: &random)).map { "line \($0)" }
        defer { _ = own.description.withCString { unlink($0) } }
        try await Paths.writeFile(own, Array(text.joined(separator: "\n").utf8), runtime: runtime)
        let file = try await File.open(own, runtime: runtime)
        do {
            var found: [String] = []
            for try await line in file.chunks(of: 1000, readahead: 3).lines() { found.append(line) }
            #expect(found == text)
        } catch {
            try? await file.close()
            throw error
        }
        try await file.close()
    }

    /// Reads the file without the library.
    private func compare() throws {
        let descriptor = try openDescriptor(path.description)
        defer { closeDescriptor(descriptor) }
        var found = [UInt8](repeating: 0, count: Self.regionSize)
        let count = pread(descriptor, &found, found.count, off_t(index * Self.regionSize))
        #expect(count == Self.regionSize && found == content, "party \(index)'s region holds something else")
    }
}
