import CKernel
import Glibc
import Testing
import UnitSupport

@testable import AIOCore

@Suite struct WorkerPoolTests {
    // MARK: Results

    @Test func workIsDoneAndItsResultSaysThatAWorkerDidIt() {
        let file = TemporaryFile(Array("content".utf8))
        let pool = TestedPool(capacity: 3)
        pool.add(.sync(Descriptor(file.descriptor), .full))
        pool.add(.truncate(Descriptor(file.descriptor), size: 4))
        pool.add(.close(-1))
        let completions = pool.completions(3)
        #expect(completions.map(\.result).sorted() == [-EBADF, 0, 0])
        #expect(completions.allSatisfy { $0.flags == .usedWorker })
        #expect(file.bytes == Array("cont".utf8))
    }

    @Test func everyItemOfALargeBatchCompletesOnce() {
        let file = TemporaryFile([UInt8](repeating: 7, count: 300))
        let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: 300)
        defer { memory.deallocate() }
        memory.initialize(repeating: 0, count: 300)
        let pool = TestedPool(capacity: 300)
        pool.add(
            (0..<300).map { index in
                let kind: Descriptor.Kind = index % 3 == 0 ? .direct : .buffered
                return .read(
                    Transfer(Descriptor(file.descriptor, kind: kind), memory + index, count: 1, offset: Int64(index)))
            })
        let completions = pool.completions(300)
        #expect(Set(completions.map(\.token.slot)).count == 300)
        #expect(completions.allSatisfy { $0.result == 1 })
        #expect((0..<300).allSatisfy { memory[$0] == 7 })
    }

    // MARK: Threads

    @Test func noThreadIsStartedBeforeThereIsWork() {
        let pool = TestedPool(capacity: 1)
        #expect(pool.pool.threadCount == 0)
    }

    @Test func blockingWorkGetsAThreadEach() {
        let pool = TestedPool(capacity: 5, limit: 64)
        let pipes = pool.addBlockedReads(5)
        #expect(pool.pool.threadCount == 5)
        for pipe in pipes { pipe.send([1]) }
        #expect(pool.completions(5).allSatisfy { $0.result == 1 })
    }

    @Test func threadsStayWithinTheLimitAndTheRestWaitsItsTurn() {
        let pool = TestedPool(capacity: 6, limit: 2)
        let pipes = pool.addBlockedReads(6)
        #expect(pool.pool.threadCount == 2)
        for pipe in pipes { pipe.send([1]) }
        #expect(pool.completions(6).allSatisfy { $0.result == 1 })
        #expect(pool.pool.threadCount <= 2)
    }

    @Test func allThreadsButOneGoWhenThereIsNothingToDo() {
        let pool = TestedPool(capacity: 3, idleTime: 1_000_000)
        let pipes = pool.addBlockedReads(3)
        for pipe in pipes { pipe.send([1]) }
        _ = pool.completions(3)
        #expect(eventually { pool.pool.threadCount == 1 })
        pool.add(.nop)
        #expect(pool.completions(1).map(\.result) == [0])
    }

    /// None of the threads is the last one when it starts to wait.
    @Test func oneThreadStaysThoughTheTimeOfAllIsUpAtOnce() {
        for _ in 0..<200 {
            let pool = TestedPool(capacity: 8, limit: 64, idleTime: 100_000)
            let pipes = pool.addBlockedReads(8)
            for pipe in pipes { pipe.send([1]) }
            _ = pool.completions(8)
            #expect(eventually { pool.pool.threadCount <= 1 })
            let end = Kernel.now() + 400_000
            // By time: nothing tells that the last one would not exit. It would within this time.
            while Kernel.now() < end, pool.pool.threadCount == 1 {}
            #expect(pool.pool.threadCount == 1)
        }
    }

    /// A worker that times out just as work arrives must check the queue before it exits: the wake-up was meant for it.
    @Test func workThatComesAsTheLastThreadGoesIsDone() {
        let pool = TestedPool(capacity: 1, limit: 1, idleTime: 20_000)
        for turn in 0..<3_000 {
            pool.add(.nop)
            guard pool.completions(1).count == 1 else { return #expect(Bool(false), "hangs at turn \(turn)") }
            let end = Kernel.now() + 15_000 + Nanoseconds(turn % 100) * 500
            // By time: about as long as a worker waits, so that the next work comes in each moment of its exit.
            while Kernel.now() < end {}
        }
    }

    @Test func shutDownDoesWhatIsQueuedAndLeavesNoThread() {
        let pool = TestedPool(capacity: 6, limit: 2)
        let pipes = pool.addBlockedReads(6)
        for pipe in pipes { pipe.send([1]) }
        pool.pool.shutDown()
        #expect(pool.pool.threadCount == 0)
        #expect(pool.completions(6).allSatisfy { $0.result == 1 })
    }

    @Test func afterShutDownNoThreadOfTheProcessIsLeft() async {
        await #expect(processExitsWith: .success) {
            let before = threads()
            let pool = TestedPool(capacity: 4, limit: 4)
            let pipes = pool.addBlockedReads(4)
            #expect(threads().subtracting(before).count == 4)
            for pipe in pipes { pipe.send([1]) }
            pool.pool.shutDown()
            // A detached thread executes its last instructions after it has left the pool.
            #expect(eventually { threads() == before })
        }
    }

    // MARK: Quick work

    /// A buffered read on an empty pipe: quick work that is stuck until the test writes to the pipe.
    @Test func stuckQuickWorkDoesNotHoldUpTheRest() {
        let file = TemporaryFile([5])
        let pool = TestedPool(capacity: 4, limit: 8)
        let stuck = DescriptorPair.pipe()
        var bytes: [2 of UInt8] = [0, 0]
        withUnsafeMutableBytes(of: &bytes) { bytes in
            let base = bytes.baseAddress!
            pool.add([.quickRead(stuck.first, base), .quickRead(file.descriptor, base + 1, offset: 0)])
            let first = pool.completions(1)
            #expect(first.map(\.token.slot) == [1])
            #expect(first.map(\.result) == [1])
            stuck.send([6])
            #expect(pool.completions(1).map(\.token.slot) == [0])
        }
        #expect(bytes[0] == 6)
        #expect(bytes[1] == 5)
    }

    /// The watcher that takes over may get stuck as well; then the next one watches.
    @Test func manyStuckQuickItemsAreTakenOverOneAfterTheOther() {
        let file = TemporaryFile([5])
        let pool = TestedPool(capacity: 4, limit: 8)
        let pipes = (0..<3).map { _ in DescriptorPair.pipe() }
        let bytes = UnsafeMutablePointer<UInt8>.allocate(capacity: 4)
        defer { bytes.deallocate() }
        pool.add(
            pipes.enumerated().map { .quickRead($1.first, bytes + $0) } + [
                .quickRead(file.descriptor, bytes + 3, offset: 0)
            ])
        #expect(pool.completions(1).map(\.token.slot) == [3])
        for pipe in pipes { pipe.send([1]) }
        #expect(Set(pool.completions(3).map(\.token.slot)) == [0, 1, 2])
    }

    @Test func blockingWorkIsDoneWhileQuickWorkIsStuck() {
        let pool = TestedPool(capacity: 2, limit: 2)
        let stuck = DescriptorPair.pipe()
        var byte: UInt8 = 0
        withUnsafeMutableBytes(of: &byte) { byte in
            pool.add(.quickRead(stuck.first, byte.baseAddress!))
            pool.add(.nop)
            #expect(pool.completions(1).map(\.token.slot) == [1])
            stuck.send([1])
            _ = pool.completions(1)
        }
    }

    @Test func aPoolOfOneThreadDoesBothKinds() {
        let file = TemporaryFile([5])
        let pool = TestedPool(capacity: 40, limit: 1)
        let bytes = UnsafeMutablePointer<UInt8>.allocate(capacity: 40)
        defer { bytes.deallocate() }
        pool.add((0..<40).map { $0 % 2 == 0 ? .nop : .quickRead(file.descriptor, bytes + $0, offset: 0) })
        #expect(pool.completions(40).allSatisfy { $0.result == Int32($0.token.slot % 2) })
        #expect(pool.pool.threadCount == 1)
    }

    // MARK: Taking work back

    @Test func whatNoWorkerBeganCanBeTakenBack() {
        let pool = TestedPool(capacity: 3, limit: 1)
        let pipe = DescriptorPair.pipe()
        let byte = UnsafeMutablePointer<UInt8>.allocate(capacity: 1)
        defer { byte.deallocate() }
        let blocked = AIOCore.Operation.read(
            Transfer(Descriptor(pipe.first, kind: .direct), byte, count: 1, offset: Transfer.currentPosition))
        let tokens = pool.add([blocked, .nop, .quickRead(-1, UnsafeMutableRawPointer(bitPattern: 1)!)])
        #expect(pool.pool.remove(tokens[1]))
        #expect(!pool.pool.remove(tokens[1]), "it is not there any more")
        #expect(pool.pool.remove(tokens[2]))
        #expect(!pool.pool.remove(Token(slot: 0, generation: 9)), "a stale token names nothing")
        pipe.send([1])
        let completions = pool.completions(1)
        #expect(completions.map(\.token) == [tokens[0]])
        #expect(!pool.pool.remove(tokens[0]), "it is done")
        pool.pool.shutDown()
        #expect(pool.taken().isEmpty, "what was taken back does not complete here")
    }

    // MARK: Waiting work

    @Test func opensOfFIFOsHoldNoWorkerAndWaitForTheOtherEnd() throws {
        let directory = TemporaryDirectory()
        let pool = TestedPool(capacity: 8, limit: 1)
        let paths = (0..<4).map { directory.fifo("fifo\($0)") }
        withOpenings(paths) { openings in
            pool.add(openings)
            pool.add(.nop)
            #expect(pool.completions(1).map(\.result) == [0])
            #expect(pool.pool.threadCount == 1)
            // With O_NONBLOCK the open succeeds only if a reader waits in its own open(2). One of the readers waits,
            // the others are queued.
            for path in paths {
                var writer: Int32 = -1
                #expect(
                    eventually {
                        writer = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC); return writer >= 0
                    })
                let opened = pool.completions(1)
                #expect(opened.allSatisfy { $0.result >= 0 })
                for completion in opened where completion.result >= 0 { close(completion.result) }
                close(writer)
            }
        }
    }

    @Test func aCancelInterruptsWhatWaits() {
        let directory = TemporaryDirectory()
        let pool = TestedPool(capacity: 4, limit: 4)
        let paths = (0..<4).map { directory.fifo("fifo\($0)") }
        withOpenings(paths) { openings in
            let tokens = pool.add(openings)
            // Each open may be in any state by now: queued, on its way into open(2), or waiting there.
            let taken = tokens.filter { pool.pool.remove($0) }
            let rest = pool.completions(tokens.count - taken.count)
            #expect(rest.allSatisfy { $0.result == -EINTR || $0.result == -ECANCELED })
            // No cancelled open counts as a reader any more.
            for path in paths {
                #expect(open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC) < 0)
                #expect(errno == ENXIO)
            }
        }
    }

    private func withOpenings(_ paths: [String], _ body: ([AIOCore.Operation]) -> Void) {
        let how = UnsafeMutablePointer<ck_open_how>.allocate(capacity: 1)
        how.initialize(to: ck_open_how(flags: CK_O_RDONLY | CK_O_CLOEXEC, mode: 0, resolve: 0))
        let memory = paths.map { strdup($0)! }
        defer {
            for path in memory { free(path) }
            how.deallocate()
        }
        body(memory.map { .open(directory: CK_AT_FDCWD, path: $0, how: how) })
    }

    // MARK: Without threads

    /// The thread that drives the engine does the work until a thread can be started.
    @Test func workIsDoneWithoutThreadsAndStartingIsTriedAgain() async {
        await #expect(processExitsWith: .success) {
            limitThreads(to: 0)
            let pool = TestedPool(capacity: 3)
            pool.pool.startFirst()
            pool.add([.nop, .quickRead(-1, UnsafeMutableRawPointer(bitPattern: 1)!), .nop])
            #expect(pool.pool.threadCount == 0 && pool.pool.isShortOfThreads)
            for _ in 0..<3 { pool.pool.help() }
            #expect(pool.taken().map(\.result).sorted() == [-EBADF, 0, 0])
            limitThreads(to: 1_000_000)
            pool.pool.help()
            pool.add(.nop)
            #expect(pool.completions(1).map(\.result) == [0])
            #expect(pool.pool.threadCount == 1 && !pool.pool.isShortOfThreads)
        }
    }

    /// The thread that drives the engine also serves cancels, deadlines and all other work.
    @Test func withoutThreadsRemoteWorkWaitsForOne() async {
        await #expect(processExitsWith: .success) {
            let pool = poolWithoutThreads(capacity: 3, strandedTime: .never)
            let pipe = DescriptorPair.pipe()
            let byte = UnsafeMutablePointer<UInt8>.allocate(capacity: 1)
            let read = AIOCore.Operation.remoteRead(pipe.first, byte)
            let token = pool.add(read)
            pool.add(.nop)
            for _ in 0..<3 { pool.pool.help() }
            #expect(pool.taken().map(\.result) == [0], "the nop is done")
            #expect(pool.pool.isShortOfThreads && pool.pool.remove(token))
            pool.add(read)
            limitThreads(to: 1_000_000)
            pool.pool.help()
            pipe.send([7])
            #expect(pool.completions(1).map(\.result) == [1])
            byte.deallocate()
        }
    }

    /// A server that answers would otherwise be waited for as long as there is no thread. A futex wait is not made
    /// here: this thread may be the one that has to wake it.
    @Test func withoutThreadsForLongRemoteCallsAreMadeOnTheEnginesThread() async {
        await #expect(processExitsWith: .success) {
            let pool = poolWithoutThreads(capacity: 3, strandedTime: 0)
            let word = UnsafeMutablePointer<UInt32>.allocate(capacity: 1)
            word.initialize(to: 1)
            let wait = pool.add(.futexWait(FutexWait(word, while: 1)))
            let pipe = DescriptorPair.pipe()
            pipe.send([7])
            let byte = UnsafeMutablePointer<UInt8>.allocate(capacity: 1)
            pool.add(AIOCore.Operation.remoteRead(pipe.first, byte))
            pool.add(.nop)
            for _ in 0..<3 { pool.pool.help() }
            #expect(pool.taken().map(\.result) == [0, 1], "other work first")
            #expect(pool.pool.remove(wait))
            byte.deallocate()
            word.deallocate()
        }
    }

    @Test func withoutThreadsAFutexWaitEndsOnceItsWordHasChanged() async {
        await #expect(processExitsWith: .success) {
            let pool = poolWithoutThreads(capacity: 3)
            let word = UnsafeMutablePointer<UInt32>.allocate(capacity: 1)
            word.initialize(to: 1)
            var cancels = FutexCancels(capacity: 3)
            let token = pool.add(cancels.prepare(.futexWait(FutexWait(word, while: 1)), 0))
            pool.add(cancels.prepare(.futexWait(FutexWait(word, while: 1)), 1))
            pool.pool.help()
            #expect(pool.taken().isEmpty && pool.pool.remove(token))
            word.pointee = 2
            pool.pool.help()
            #expect(pool.taken().map(\.result) == [-EAGAIN])
            word.deallocate()
        }
    }

    /// One worker never exits, and does all the work.
    @Test func oneWorkerIsEnough() async {
        await #expect(processExitsWith: .success) {
            let pool = TestedPool(capacity: 30)
            pool.pool.startFirst()
            limitThreads(to: 0)
            pool.add((0..<30).map { $0 % 2 == 0 ? .nop : .quickRead(-1, UnsafeMutableRawPointer(bitPattern: 1)!) })
            #expect(pool.completions(30).count == 30)
            #expect(pool.pool.threadCount == 1)
        }
    }
}

extension AIOCore.Operation {
    /// A read of one byte from a pipe that counts as a file of a network file system.
    fileprivate static func remoteRead(_ number: Int32, _ byte: UnsafeMutablePointer<UInt8>) -> AIOCore.Operation {
        var remote = Descriptor(number, kind: .direct)
        remote.backing = .remote
        return .read(Transfer(remote, byte, count: 1, offset: Transfer.currentPosition))
    }
}

/// In a process that cannot start threads, and that ends if it hangs.
private func poolWithoutThreads(capacity: Int, strandedTime: Nanoseconds = .never) -> TestedPool {
    alarm(300)
    limitThreads(to: 0)
    let pool = TestedPool(capacity: capacity, strandedTime: strandedTime)
    pool.pool.startFirst()
    return pool
}

/// Limits the threads that this process can start, by the number that its user has. The limit does not apply to root,
/// so the process becomes the user nobody.
func limitThreads(to count: UInt64) {
    if getuid() == 0 { precondition(setuid(65534) == 0, "setuid: errno \(errno)") }
    let threadLimit: Int32 = 6  // RLIMIT_NPROC
    var limit = ck_rlimit()
    precondition(Kernel.limit(threadLimit, &limit) == 0)
    precondition(Kernel.setLimit(threadLimit, ck_rlimit(soft: min(count, limit.hard), hard: limit.hard)) == 0)
}

/// A pool with the parts of an engine that it needs: slots, a waker, and a consumer of finished work.
final class TestedPool {
    let pool: WorkerPool
    private let bell: MarkedTimer
    private var nextSlot: UInt32 = 0
    private let capacity: Int
    private var memory: [UnsafeMutablePointer<UInt8>] = []

    init(
        capacity: Int, limit: Int = 8, idleTime: Nanoseconds = 5_000_000_000, strandedTime: Nanoseconds = 1_000_000_000
    ) {
        self.capacity = capacity
        var refused: Int32 = 0
        guard let bell = MarkedTimer(errno: &refused) else { preconditionFailure("no timer: \(refused)") }
        self.bell = bell
        let waker = Waker()
        waker.follow(epoll: -1, bell)
        pool = WorkerPool(
            capacity: capacity, limit: limit, waker, idleTime: idleTime, strandedTime: strandedTime)
    }

    deinit {
        pool.shutDown()
        bell.close()
        for pointer in memory { pointer.deallocate() }
    }

    @discardableResult
    func add(_ operations: [AIOCore.Operation]) -> [Token] {
        var batch = FixedQueue<WorkItem>(capacity: operations.count)
        var tokens: [Token] = []
        for operation in operations {
            let token = Token(slot: nextSlot, generation: 0)
            nextSlot = (nextSlot + 1) % UInt32(capacity)
            tokens.append(token)
            batch.append(WorkItem(operation, token))
        }
        pool.add(&batch)
        return tokens
    }

    @discardableResult
    func add(_ operation: AIOCore.Operation) -> Token { add([operation])[0] }

    /// Adds reads of empty pipes, which block.
    func addBlockedReads(_ count: Int) -> [DescriptorPair] {
        let pipes = (0..<count).map { _ in DescriptorPair.pipe() }
        add(
            pipes.map { pipe in
                memory.append(.allocate(capacity: 1))
                // As for a file whose reads block a worker.
                let kind = Descriptor(pipe.first, kind: .direct)
                return .read(Transfer(kind, memory[memory.count - 1], count: 1, offset: Transfer.currentPosition))
            })
        return pipes
    }

    /// Takes what is finished now.
    func taken() -> [Completion] {
        var queue = FixedQueue<Completion>(capacity: capacity)
        pool.takeFinished(into: &queue)
        var completions: [Completion] = []
        while let completion = queue.popFirst() { completions.append(completion) }
        return completions
    }

    /// Waits for `count` completions, as an engine does. Returns fewer after a timeout that only a hang reaches.
    func completions(_ count: Int) -> [Completion] {
        var completions = taken()
        while completions.count < count {
            if pool.finished.fallAsleep(), !waitForBell() { break }
            completions += taken()
        }
        return completions
    }

    private func waitForBell() -> Bool {
        var entry = ck_pollfd(descriptor: bell.number, events: Int16(CK_POLLIN), returned: 0)
        var timeout = ck_timespec(seconds: 30, nanoseconds: 0)
        guard Kernel.ppoll(&entry, 1, &timeout) > 0 else { return false }
        bell.set(nil)
        return true
    }
}

extension AIOCore.Operation {
    /// A read of one byte, as quick work.
    static func quickRead(
        _ descriptor: Int32, _ base: UnsafeMutableRawPointer, offset: Int64 = Transfer.currentPosition
    ) -> AIOCore.Operation {
        .read(Transfer(Descriptor(descriptor, kind: .buffered), base, count: 1, offset: offset))
    }
}
