import AIO
import AIOCore
import CKernel
import Glibc
import Testing
import UnitSupport

/// A program may close descriptors that it does not know, and open files under their numbers. The library must write
/// nothing into these files, and operations continue. Each case is an exit test.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct ClosedNumberTests {
    static let names = engines.map(\.description)

    enum Way: String, Codable, Sendable, CaseIterable { case closeRange, loop, dup2 }

    @Test(.notSimulated(.process), arguments: names, Way.allCases)
    func aRuntimeGoesOnAndLeavesTheProgramsFilesAlone(_ name: String, _ way: Way) async {
        await #expect(processExitsWith: .success) { [name = name as String, way = way.rawValue as String] in
            let runtime = try madeRuntime(name)
            try await exercise(runtime)
            // A wait that is in flight meanwhile, and needs none of the descriptors that are closed.
            let files = try OwnFiles()
            let sleep = Task { try await runtime.sleep(for: .milliseconds(1500)) }
            try await eventually { runtime.inFlightCount == 1 }
            try files.takeTheirNumbers(try #require(Way(rawValue: way)))
            // From foreign threads, which wake the loop, and on its workers.
            for _ in 0..<3 { try await exercise(runtime) }
            try await sleep.value
            await runtime.shutdown()
            #expect(files.areUntouched(), "something was written into the program's files, or they were closed")
        }
    }

    @Test(.notSimulated(.process), arguments: names)
    func aQueueGoesOnOrSaysWhy(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            var configuration = IOQueue.Configuration()
            configuration.queueDepth = 64
            configuration.engine = .forced(try #require(EngineKind(name)))
            let queue = try IOQueue(configuration)
            let file = TemporaryFile([1, 2, 3])
            let memory = Memory(count: 3)
            #expect(try queue.blockingPerform(.read(memory.transfer(file.descriptor))) == 3)
            let files = try OwnFiles(keeping: [file.descriptor])
            try files.takeTheirNumbers(.closeRange)
            for _ in 0..<3 {
                #expect(try queue.blockingPerform(.nop) == 0)
                #expect(try queue.blockingPerform(.sync(Descriptor(file.descriptor), .full)) == 0)
                #expect(try queue.blockingPerform(.read(memory.transfer(file.descriptor))) == 3)
                #expect(try queue.blockingPerform(.timeout(deadline: 1)) == 0)
            }
            #expect(files.areUntouched())
        }
    }

    @Test(.notSimulated(.process), arguments: names)
    func groupsSignalsAndExportedDescriptorsTouchNothing(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            let runtime = try madeRuntime(name)
            let group = try OperationGroup(runtime: runtime)
            let signals = try Signals([.user1], runtime: runtime)
            var configuration = IOQueue.Configuration()
            configuration.queueDepth = 64
            configuration.engine = .forced(try #require(EngineKind(name)))
            let queue = try IOQueue(configuration)
            _ = try queue.pollableDescriptor
            let changes = try await Paths.changes(of: "/tmp", runtime: runtime)
            let files = try OwnFiles()
            try files.takeTheirNumbers(.closeRange)
            for _ in 0..<3 { try group.start(.nop) }
            var count = 0
            while count < 3 {
                group.drain { _, _ in count += 1 }
                await Task.yield()
            }
            kill(getpid(), SIGUSR1)
            // The signal is counted in memory. A further wait would use a descriptor that is closed.
            #expect(try await signals.next()?.signal == .user1)
            #expect(try queue.blockingPerform(.timeout(deadline: 1)) == 0)
            try queue.prepare(.timeout(deadline: .max - 1))
            try queue.submit()
            queue.requestCancelAll()
            _ = try queue.wait()
            queue.drain { _, _ in }
            await expectError(.badDescriptor) { try await changes.next() }
            _ = try? await changes.close()
            try await signals.close()
            await runtime.shutdown()
            #expect(files.areUntouched())
        }
    }

    /// The library does not take the standard descriptors' numbers, which a program expects to open again.
    @Test(.notSimulated(.process), arguments: names)
    func theStandardNumbersAreLeftToTheProgram(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            for number in Int32(0)...2 { close(number) }
            let runtime = try madeRuntime(name)
            var configuration = IOQueue.Configuration()
            configuration.queueDepth = 64
            configuration.engine = .forced(try #require(EngineKind(name)))
            let queue = try IOQueue(configuration)
            _ = try queue.pollableDescriptor
            let group = try OperationGroup(runtime: runtime)
            // libdispatch opens a file in /proc every second, which takes one of the numbers for a moment.
            let isFree = UnitSupport.eventually { (Int32(0)...2).allSatisfy { isFreeOrDispatchs($0) } }
            let null = fcntl(open("/dev/null", O_RDWR), F_DUPFD, 3)
            for number in Int32(0)...2 { dup2(null, number) }
            #expect(isFree)
            try await exercise(runtime)
            await runtime.shutdown()
            withExtendedLifetime((queue, group)) {}
        }
    }
}

/// Whether the number is closed, or a timerfd of libdispatch, which takes the lowest free number. Unlike the library's
/// timers it has no interval of decades.
private func isFreeOrDispatchs(_ number: Int32) -> Bool {
    guard fcntl(number, F_GETFD) >= 0 else { return true }
    var value = ck_itimerspec()
    let isTimer = SystemCall.call(CK_NR_timerfd_gettime, Int(number), address(&value), 0, 0, 0, 0) == 0
    return isTimer && value.interval.seconds < 1 << 30
}

private func madeRuntime(_ name: String) throws -> IORuntime {
    var configuration = IORuntime.Configuration()
    configuration.queueDepth = 64
    configuration.engine = .forced(try #require(EngineKind(name)))
    configuration.log = { _ in }
    return try IORuntime(configuration)
}

/// Reads, writes, a sync, waits and timers, on newly opened files.
private func exercise(_ runtime: IORuntime) async throws {
    try await withScratch { scratch in
        try await withFile(Path(scratch.path("file")), .readWrite, options: .create, runtime: runtime) { file in
            try await file.writeAll([1, 2, 3], at: 0)
            try await file.sync()
            #expect(try await file.read(upTo: 10, at: 0) == [1, 2, 3])
        }
        let (one, other) = try Connection.pair(runtime: runtime)
        let read = Task { try await one.read(upTo: 4) }
        try await Task.detached { try await other.writeAll([7]) }.value
        #expect(try await read.value == [7])
        try await one.close()
        try await other.close()
    }
    try await runtime.sleep(for: .milliseconds(1))
}

/// Opens the program's own file under every number that the program does not know.
private final class OwnFiles {
    private let path: String
    private let kept: Set<Int32>
    private var numbers: [Int32] = []

    init(keeping kept: Set<Int32> = []) throws {
        // Everything that was open before except the library's descriptors, which have no file type and numbers above
        // 2.
        self.kept = openDescriptors().filter { number in
            var status = stat()
            return number < 3 || fstat(number, &status) == 0 && status.st_mode & S_IFMT != 0
        }.union(kept)
        var template = Array("/tmp/swift-aio-own-XXXXXX".utf8CString)
        let made = mkstemp(&template)
        try #require(made >= 0)
        close(made)
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { unlink(path) }

    /// Closes all unknown descriptors, and opens the file under each of their numbers.
    func takeTheirNumbers(_ way: ClosedNumberTests.Way) throws {
        // libdispatch's descriptors, which the testing library needs, must stay open: its epoll precedes all of the
        // library's.
        let theirs = openDescriptors().subtracting(kept).filter { $0 > 100 }
        let descriptor = open(path, O_RDWR | O_CLOEXEC)
        try #require(descriptor >= 0)
        numbers.append(descriptor)
        switch way {
        case .closeRange:
            // close_range(2) of all numbers above those that programs use.
            try #require(SystemCall.call(436, 101, Int(UInt32.max), 0) == 0)
        case .loop: for number in Int32(101)..<4096 { close(number) }
        case .dup2: break
        }
        for number in theirs {
            try #require(dup2(descriptor, number) == number)
            numbers.append(number)
        }
    }

    /// Whether the file is still open under each number, and nothing was written into it.
    func areUntouched() -> Bool {
        var own = stat()
        guard stat(path, &own) == 0, own.st_size == 0 else { return false }
        return numbers.allSatisfy { number in
            var status = stat()
            return fstat(number, &status) == 0 && status.st_ino == own.st_ino
        }
    }
}
