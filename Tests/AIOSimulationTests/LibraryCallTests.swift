import AIOCore
import CKernel
import Glibc
import Synchronization
import Testing

@testable import AIOSimulation

/// The library's own functions over the simulated file system, on this thread.
@Suite(.serialized) struct LibraryCallTests {
    @Test func aFileIsClassifiedAsBufferedAndOnADevice() throws {
        try Simulated.run { _ in
            let file = try Simulated.open("/tmp/file", CK_O_RDWR | CK_O_CREAT)
            let descriptor = Descriptor.classify(file)
            #expect(descriptor.kind == .buffered && descriptor.backing == .device)
            let direct = try Simulated.open("/tmp/file", CK_O_RDWR | CK_O_DIRECT)
            #expect(Descriptor.classify(direct).kind == .direct)
            #expect(Descriptor.classify(try Simulated.open("/dev/null", CK_O_RDWR)).backing == .memory)
            let changes = Int32(Kernel.changeDescriptor())
            #expect(Descriptor.classify(changes).kind == .stream && Kernel.checkChangeDescriptor(changes) == 0)
        }
    }

    @Test func operationsOfWorkersAreCarriedOut() throws {
        try Simulated.run { _ in
            let file = Descriptor.classify(try Simulated.open("/tmp/file", CK_O_RDWR | CK_O_CREAT))
            var bytes: [UInt8] = [1, 2, 3, 4]
            try bytes.withUnsafeMutableBytes { buffer in
                let start = try #require(buffer.baseAddress)
                let write = Transfer(file, start, count: 4, offset: 0, form: .writing)
                #expect(Operation.transfer(write).blockingResult() == 4)
                #expect(Operation.sync(file, .full).blockingResult() == 0)
                guard case .done(4) = Transfer(file, start, count: 4, offset: 0).ask() else {
                    Issue.record("the page cache has the file")
                    return
                }
                #expect(Operation.advise(file, offset: 0, count: 0, advice: CK_FADV_DONTNEED).blockingResult() == 0)
                guard case .wait = Transfer(file, start, count: 4, offset: 0).ask() else {
                    Issue.record("the page was dropped")
                    return
                }
            }
            #expect(Operation.truncate(file, size: 2).blockingResult() == 0)
            var status = ck_statx()
            #expect(Kernel.status(file.number, CK_STATX_SIZE, &status) == 0 && status.size == 2)
        }
    }

    @Test func theFreeDescriptorsAreCountedByProc() throws {
        try Simulated.run { kernel in
            kernel.descriptors.limit = 100
            let before = Kernel.freeDescriptors()
            _ = try Simulated.open("/tmp", CK_O_RDONLY)
            #expect(before == 100 && Kernel.freeDescriptors() == 99)
        }
    }
}

/// Has the calls of one thread answered by a simulated kernel.
private enum Simulated {
    /// The thread whose calls are answered; 0 for none. Relaxed: a thread compares it with itself alone.
    private static let thread = Atomic<UInt>(0)
    // unsafe: only the thread that `thread` names uses it, and the suite is serialized.
    nonisolated(unsafe) private static var kernel: SimulatedKernel?

    private static let standIn: Void = Kernel.install(
        KernelStandIn(
            answer: { call in
                guard thread.load(ordering: .relaxed) == pthread_self() else { return nil }
                return kernel?.answer(call)
            }, takes: { _ in false }))

    static func run(_ body: (SimulatedKernel) throws -> Void) rethrows {
        _ = standIn
        let new = SimulatedKernel.fresh().kernel
        kernel = new
        thread.store(pthread_self(), ordering: .relaxed)
        defer {
            thread.store(0, ordering: .relaxed)
            kernel = nil
        }
        try body(new)
    }

    static func open(_ path: String, _ flags: UInt64) throws -> Int32 {
        var how = ck_open_how(flags: flags, mode: flags & CK_O_CREAT == 0 ? 0 : 0o644, resolve: 0)
        let opened = path.withCString { Kernel.openat2(CK_AT_FDCWD, $0, &how) }
        try #require(opened >= 0, "\(path): \(opened)")
        return Int32(opened)
    }
}
