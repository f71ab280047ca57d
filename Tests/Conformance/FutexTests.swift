import AIO
import AIOCore
import CKernel
import Glibc
import Testing

/// Waits for a word in memory.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct FutexTests {
    @Test(arguments: engines, [true, false])
    func aWakeCompletesOneWait(_ engine: EngineKind, _ isPrivate: Bool) async throws {
        let word = Word(7)
        try await withRuntime(engine) { runtime in
            let wait = word.wait(while: 7, isPrivate: isPrivate)
            let done = Counter()
            let waits = (0..<3).map { _ in
                Task {
                    let result = try await runtime.perform(wait)
                    done.increment()
                    return result
                }
            }
            try await eventually { runtime.inFlightCount == 3 }
            for count in 1...3 {
                // A wake counts only waits that are asleep.
                try await eventually { word.wake(1, isPrivate: isPrivate) == 1 }
                try await eventually { done.count == count }
            }
            for wait in waits { #expect(try await wait.value == 0) }
        }
    }

    @Test(arguments: ways)
    func anotherValueIsToldAtOnce(_ way: Way) async throws {
        let word = Word(1)
        try await way.run { performer in
            await performer.expect(word.wait(while: 2), failsWith: EAGAIN)
            await performer.expect(word.wait(while: 2, isPrivate: false), failsWith: EAGAIN)
        }
    }

    @Test(arguments: ways)
    func aDeadlineEndsAWait(_ way: Way) async throws {
        let word = Word(1)
        try await way.run { performer in
            for _ in 0..<3 {
                await expectError(.deadlineExceeded) {
                    try await performer.perform(word.wait(while: 1), deadline: .soon)
                }
            }
        }
        #expect(word.wake(1) == 0, "nobody is left asleep")
    }

    @Test(arguments: engines)
    func aCancelEndsAWaitAndNoOther(_ engine: EngineKind) async throws {
        let word = Word(1)
        try await withRuntime(engine) { runtime in
            let wait = word.wait(while: 1)
            let waits = (0..<2).map { _ in Task { try await runtime.perform(wait) } }
            try await eventually { runtime.inFlightCount == 2 }
            waits[0].cancel()
            await expectError(.cancelled) { try await waits[0].value }
            #expect(runtime.inFlightCount == 1)
            try await eventually { word.wake(2) == 1 }
            #expect(try await waits[1].value == 0)
        }
    }

    @Test(arguments: engines)
    func aQueueThatIsDroppedEndsItsWaits(_ engine: EngineKind) async throws {
        let word = Word(1)
        try await BlockingThread.with {
            var configuration = IOQueue.Configuration()
            configuration.engine = .forced(engine)
            let queue = try IOQueue(configuration)
            for _ in 0..<5 { try queue.prepare(word.wait(while: 1)) }
            try queue.submit()
        }
        try await eventually { word.wake(5) == 0 }
    }

    /// More waits than workers: other work continues, and each wait is woken in turn.
    @Test(arguments: engines)
    func waitsNeverTakeAllWorkers(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let descriptor = try openDescriptor(try scratch.file("file", [1, 2, 3]), O_RDWR)
            defer { closeDescriptor(descriptor) }
            let word = Word(1)
            try await withRuntime(engine, { $0.workerLimit = 4 }) { runtime in
                let wait = word.wait(while: 1)
                let waits = (0..<20).map { _ in Task { try? await runtime.perform(wait) } }
                try await eventually { runtime.inFlightCount == 20 }
                for _ in 0..<10 {
                    #expect(try await runtime.perform(.sync(Descriptor(descriptor, kind: .buffered), .full)) == 0)
                }
                word.value = 2
                let isOver = Flag()
                let waker = Task {
                    while !isOver.isSet {
                        _ = word.wake(100)
                        await Task.yield()
                    }
                }
                // Woken, or begun after the word had changed.
                for wait in waits { #expect([0, nil].contains(await wait.value)) }
                isOver.set()
                await waker.value
            }
        }
    }

    @Test(arguments: ways)
    func wordsThatCannotBeAreRefused(_ way: Way) async throws {
        let word = Word(0)
        try await way.run { performer in
            let odd = UnsafeMutableRawPointer(word.pointer) + 1
            let misaligned = UnsafeMutablePointer<UInt32>(bitPattern: UInt(bitPattern: odd))!
            await performer.expect(.futexWait(FutexWait(misaligned, while: 0)), failsWith: EINVAL)
            let nowhere = UnsafeMutablePointer<UInt32>(bitPattern: 4096)!
            await performer.expect(.futexWait(FutexWait(nowhere, while: 0)), failsWith: EFAULT)
        }
    }

    @Test(.notSimulated(.process), arguments: engines.map(\.description))
    func aShutdownThatCancelsEndsWaits(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            try await exerciseWaits(try #require(EngineKind(name)))
        }
    }

    /// As on kernels before 5.16, and in containers.
    @Test(.notSimulated(.process), arguments: engines.map(\.description), [ENOSYS, EPERM])
    func withoutFutexWaitVectorsWaitsEndAllTheSame(_ name: String, _ errno: Int32) async {
        await #expect(processExitsWith: .success) { [name = name as String, errno = errno as Int32] in
            try Seccomp.refuse([CK_NR_futex_waitv], with: errno)
            try await exerciseWaits(try #require(EngineKind(name)))
        }
    }
}

/// A wait that is woken, and one that a shutdown ends.
private func exerciseWaits(_ engine: EngineKind) async throws {
    var configuration = IORuntime.Configuration()
    configuration.engine = .forced(engine)
    let runtime = try IORuntime(configuration)
    let word = Word(1)
    let wait = word.wait(while: 1)
    let woken = Task { try await runtime.perform(wait) }
    try await eventually { word.wake(1) == 1 }
    #expect(try await woken.value == 0)
    let ended = Task { try await runtime.perform(wait) }
    try await eventually { runtime.inFlightCount == 1 }
    await runtime.shutdown(.cancel)
    await expectError(.cancelled) { try await ended.value }
}

/// A word at a stable address.
private final class Word: @unchecked Sendable {
    // @unchecked: the tests' tasks and the kernel access it as one word.
    let pointer = UnsafeMutablePointer<UInt32>.allocate(capacity: 2)

    init(_ value: UInt32) { pointer.initialize(repeating: value, count: 2) }

    deinit { pointer.deallocate() }

    var value: UInt32 {
        get { pointer.pointee }
        set { pointer.pointee = newValue }
    }

    func wait(while value: UInt32, isPrivate: Bool = true) -> AIOCore.Operation {
        .futexWait(FutexWait(pointer, while: value, isPrivate: isPrivate))
    }

    /// Returns the number of waits that were woken.
    func wake(_ count: Int, isPrivate: Bool = true) -> Int {
        let action = Int(CK_FUTEX_WAKE | (isPrivate ? CK_FUTEX_PRIVATE : 0))
        return SystemCall.call(CK_NR_futex, address(pointer), action, count, 0, 0, 0)
    }
}
