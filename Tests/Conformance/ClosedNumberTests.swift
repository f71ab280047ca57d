import AIO
import AIOCore
import CKernel
import Glibc
import Testing
import UnitSupport

/// A program that closes numbers it does not know, and opens its own files under them: nothing of the library's is written
/// into these, and operations go on. Each case is in a process of its own.
@Suite(.timeLimit(.minutes(10))) struct ClosedNumberTests {
    static let names = engines.map(\.description)

    enum Way: String, Codable, Sendable, CaseIterable { case closeRange, loop, dup2 }

    @Test(arguments: names, Way.allCases)
    func aRuntimeGoesOnAndLeavesTheProgramsFilesAlone(_ name: String, _ way: Way) async {
        await #expect(processExitsWith: .success) { [name = name as String, way = way.rawValue as String] in
            let runtime = try madeRuntime(name)
            try await exercise(runtime)
            // What waits meanwhile for something that stays open.
            let files = try OwnFiles()
            let sleep = Task { try await runtime.sleep(for: .milliseconds(1500)) }
            try await eventually { runtime.inFlightCount == 1 }
            try files.takeTheirNumbers(try #require(Way(rawValue: way)))
            // From threads of others, which wake the loop, and with its workers.
            for _ in 0..<3 { try await exercise(runtime) }
            try await sleep.value
            await runtime.shutdown()
            #expect(files.areUntouched(), "something was written into the program's files, or they were closed")
        }
    }

    @Test(arguments: names)
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

    @Test(arguments: names)
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
            for _ in 0..<3 { try group.submit(.nop) }
            var count = 0
            while count < 3 {
                group.drain { _, _ in count += 1 }
                await Task.yield()
            }
            kill(getpid(), SIGUSR1)
            // Counted in memory; a wait for another would be for a descriptor that is gone.
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

    /// Numbers that a program means to open again are not taken.
    @Test(arguments: names)
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
            // libdispatch looks into /proc every second, and has one of them for that moment.
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

/// Closed, or a timer of libdispatch's, which takes the lowest number: it has no interval of decades, as the library's have.
private func isFreeOrDispatchs(_ number: Int32) -> Bool {
    guard fcntl(number, F_GETFD) >= 0 else { return true }
    var value = ck_itimerspec()
    let isTimer = ck_system_call_6(CK_NR_timerfd_gettime, Int(number), address(&value), 0, 0, 0, 0) == 0
    return isTimer && value.interval.seconds < 1 << 30
}

private func madeRuntime(_ name: String) throws -> IORuntime {
    var configuration = IORuntime.Configuration()
    configuration.queueDepth = 64
    configuration.engine = .forced(try #require(EngineKind(name)))
    configuration.log = { _ in }
    return try IORuntime(configuration)
}

/// Reads, writes, syncs, waits and timers, each opened and closed anew.
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

/// Files of the program's own under every number that it did not know.
private final class OwnFiles {
    private let path: String
    private let kept: Set<Int32>
    private var numbers: [Int32] = []

    init(keeping kept: Set<Int32> = []) throws {
        // What the process had before, but for the library's: those of no type, above the standard ones.
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

    /// Closes all that is not known, and opens the file under each number.
    func takeTheirNumbers(_ way: ClosedNumberTests.Way) throws {
        // libdispatch's own, which the tests' library needs, have to stay: its epoll comes before all of ours.
        let theirs = openDescriptors().subtracting(kept).filter { $0 > 100 }
        let descriptor = open(path, O_RDWR | O_CLOEXEC)
        try #require(descriptor >= 0)
        numbers.append(descriptor)
        switch way {
        case .closeRange:
            // close_range(2) of all that is above the numbers that programs have.
            try #require(SystemCall.call(436, 101, Int(UInt32.max), 0) == 0)
        case .loop: for number in Int32(101)..<4096 { close(number) }
        case .dup2: break
        }
        for number in theirs {
            try #require(dup2(descriptor, number) == number)
            numbers.append(number)
        }
    }

    /// Nothing was written into them, and each is still there.
    func areUntouched() -> Bool {
        var own = stat()
        guard stat(path, &own) == 0, own.st_size == 0 else { return false }
        return numbers.allSatisfy { number in
            var status = stat()
            return fstat(number, &status) == 0 && status.st_ino == own.st_ino
        }
    }
}
