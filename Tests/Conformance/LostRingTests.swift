import AIO
import AIOCore
import CKernel
import Glibc
import Testing
import UnitSupport

/// A seccomp filter installed after the first use, as daemons do. What io_uring, or a newer system call, did continues
/// without it. Each case is an exit test.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct LostRingTests {
    static let names = engines.map(\.description)
    static let hasRings = engines.contains(.ioUring)
    /// Without a request it fails, but not with ENOSYS.
    static let knowsStatmount = ck_system_call_6(CK_NR_statmount, 0, 0, 0, 0, 0, 0) != -Int(ENOSYS)

    /// The ring can be created; that alone does not show that it works.
    @Test(.notSimulated(.process), arguments: [EPERM, ENOSYS, EACCES])
    func whereARingCannotBeEnteredAutomaticTakesThreads(_ errno: Int32) async {
        await #expect(processExitsWith: .success) { [errno = errno as Int32] in
            unsetenv("AIO_ENGINE")
            try Seccomp.refuse([CK_NR_io_uring_enter], with: errno)
            let runtime = try IORuntime()
            #expect(runtime.selection.engine == .threads, "\(runtime.selection)")
            #expect(try IOQueue().selection.engine == .threads)
            try await use(runtime)
            await runtime.shutdown()
        }
    }

    @Test(.notSimulated(.process), .enabled(if: hasRings, "no io_uring"), arguments: [EPERM, ENOSYS, EBADF], [1, 3])
    func aRuntimeGoesOnWhenItsRingIsRefusedLater(_ errno: Int32, _ refusedCalls: Int) async {
        await #expect(processExitsWith: .success) { [errno = errno as Int32, refusedCalls = refusedCalls as Int] in
            let lines = LogLines()
            let runtime = try made(lines)
            try await use(runtime)
            let calls = [CK_NR_io_uring_enter, CK_NR_io_uring_setup, CK_NR_io_uring_register]
            try Seccomp.refuse(Array(calls.prefix(refusedCalls)), with: errno)
            for _ in 0..<3 { try await use(runtime) }
            #expect(lines.all.count == 1 && lines.all[0].contains("io_uring"), "\(lines.all)")
            await runtime.shutdown()
            #expect(runtime.inFlightCount == 0)
        }
    }

    /// Operations that are in flight when the ring is lost can be cancelled, can expire, and complete normally.
    @Test(.notSimulated(.process), .enabled(if: hasRings, "no io_uring"))
    func whatIsInFlightOnARingThatIsLostGoesOn() async {
        await #expect(processExitsWith: .success) {
            let runtime = try made(LogLines())
            let pairs = try (0..<4).map { _ in try Connection.pair(runtime: runtime) }
            let listener = try await AIO.Listener.listen(on: .v4(.loopback, port: 0), runtime: runtime)
            let address = try listener.localAddress()
            let received = Task { try await pairs[0].0.read(upTo: 9) }
            let cancelled = Task { try await pairs[1].0.read(upTo: 9) }
            let expired = Task { try await pairs[2].0.read(upTo: 9, deadline: .after(.milliseconds(400))) }
            let closed = Task { try await pairs[3].0.read(upTo: 9) }
            let accepted = Task { try await listener.accept() }
            try await eventually { runtime.inFlightCount == 5 }
            try Seccomp.refuseIOUring(with: EPERM)
            // The loop sleeps in the kernel, which is not affected; its next io_uring_enter is refused.
            try await use(runtime)
            cancelled.cancel()
            await expectError(.cancelled) { try await cancelled.value }
            await expectError(.deadlineExceeded) { try await expired.value }
            try await pairs[3].0.close()
            await expectError(.fileClosed) { try await closed.value }
            try await pairs[0].1.writeAll([1, 2])
            #expect(try await received.value == [1, 2])
            let client = try await Connection.connect(to: address, runtime: runtime)
            let server = try await accepted.value
            try await server.close()
            try await client.close()
            for pair in pairs[..<3] { try await pair.0.close() }
            for pair in pairs { try await pair.1.close() }
            try await listener.close()
            await runtime.shutdown()
        }
    }

    @Test(.notSimulated(.process), .enabled(if: hasRings, "no io_uring"), arguments: [EPERM, ENOSYS])
    func aQueueGoesOnWhenItsRingIsRefusedLater(_ errno: Int32) async {
        await #expect(processExitsWith: .success) { [errno = errno as Int32] in
            var configuration = IOQueue.Configuration()
            configuration.queueDepth = 64
            configuration.engine = .forced(.ioUring)
            let queue = try IOQueue(configuration)
            let file = TemporaryFile([1, 2, 3])
            let memory = Memory(count: 3)
            let pipe = try Ends(.pipe, false)
            let byte = Memory(count: 1)
            #expect(try queue.blockingPerform(.read(memory.transfer(file.descriptor))) == 3)
            try queue.prepare(.read(byte.transfer(pipe.reading)), context: 7)
            try queue.submit()
            try Seccomp.refuseIOUring(with: errno)
            for index in 0..<20 {
                let operation: AIOCore.Operation =
                    index % 2 == 0 ? .sync(Descriptor(file.descriptor), .full) : .read(memory.transfer(file.descriptor))
                try queue.prepare(operation, context: 1)
                try queue.waitPatiently()
                #expect(queue.completions().map(\.result) == [index % 2 == 0 ? 0 : 3])
            }
            pipe.put([9])
            try queue.waitPatiently()
            #expect(queue.completions().map(\.context) == [7])
            #expect(byte.bytes == [9])
        }
    }

    /// What is exported stays the queue's: `threads` makes it readable from then on.
    @Test(.notSimulated(.process), .enabled(if: hasRings, "no io_uring"))
    func aDescriptorExportedBeforeTheRingWasLostIsReadableStill() async {
        await #expect(processExitsWith: .success) {
            let queue = try ringQueue()
            let exported = try queue.pollableDescriptor
            func becomesReadable() -> Bool {
                var entry = pollfd(fd: exported, events: Int16(POLLIN), revents: 0)
                return poll(&entry, 1, 20_000) == 1
            }
            let file = TemporaryFile([1, 2, 3])
            let pipe = try Ends(.pipe, false)
            let byte = Memory(count: 1)
            try queue.prepare(.read(byte.transfer(pipe.reading)), context: 7)
            try queue.submit()
            try Seccomp.refuseIOUring(with: EPERM)
            for _ in 0..<5 {
                try queue.prepare(.sync(Descriptor(file.descriptor), .full), context: 1)
                try queue.submit()
                #expect(becomesReadable(), "a sync")
                try queue.waitPatiently()
                #expect(queue.completions().map(\.result) == [0])
            }
            pipe.put([9])
            #expect(becomesReadable(), "a read of a pipe")
            try queue.waitPatiently()
            #expect(queue.completions().map(\.context) == [7])
        }
    }

    @Test(.notSimulated(.process), .enabled(if: hasRings, "no io_uring"))
    func aDescriptorExportedAfterTheRingWasLostBecomesReadable() async {
        await #expect(processExitsWith: .success) {
            let queue = try ringQueue()
            try Seccomp.refuseIOUring(with: EPERM)
            let file = TemporaryFile([1, 2, 3])
            #expect(try queue.blockingPerform(.sync(Descriptor(file.descriptor), .full)) == 0)
            let exported = try queue.pollableDescriptor
            for _ in 0..<3 {
                try queue.prepare(.sync(Descriptor(file.descriptor), .full), context: 1)
                try queue.submit()
                var entry = pollfd(fd: exported, events: Int16(POLLIN), revents: 0)
                #expect(poll(&entry, 1, 20_000) == 1)
                try queue.waitPatiently()
                #expect(queue.completions().map(\.result) == [0])
            }
        }
    }

    /// Where flags are refused, a write with RWF_DSYNC or RWF_SYNC is followed by the sync that it stands for: which
    /// the filter lets fail.
    @Test(.notSimulated(.process), arguments: [EPERM, ENOSYS])
    func whereFlagsAreRefusedASynchronousWriteIsSynced(_ errno: Int32) async {
        await #expect(processExitsWith: .success) { [errno = errno as Int32] in
            let file = TemporaryFile([1, 2, 3])
            try Seccomp.refuse([CK_NR_pwritev2], with: errno)
            try Seccomp.refuse([CK_NR_fdatasync], with: EIO)
            try Seccomp.refuse([CK_NR_fsync], with: ENOSPC)
            var configuration = IOQueue.Configuration()
            configuration.engine = .forced(.threads)
            let queue = try IOQueue(configuration)
            let memory = Memory([4])
            var results: [Int32] = []
            for flags: TransferFlags in [[], .dataSync, .sync, [.sync, .dataSync]] {
                var transfer = memory.transfer(file.descriptor)
                transfer.flags = flags
                try queue.prepare(.write(transfer))
                try queue.waitPatiently()
                results += queue.completions().map(\.result)
            }
            #expect(results == [1, -EIO, -ENOSPC, -ENOSPC])
        }
    }

    /// A server might not answer fstatfs(2), so where a file system has no device, statmount(2) tells its kind.
    @Test(.notSimulated(.process), .enabled(if: knowsStatmount, "statmount(2) came with Linux 6.8"))
    func aFileWithoutADeviceIsClassifiedWithoutStatfs() async {
        await #expect(processExitsWith: .success) {
            let mounted = open("/dev/shm", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            let expected = Descriptor.classify(mounted).backing
            try Seccomp.refuse([CK_NR_fstatfs, CK_NR_statfs], with: EIO)
            #expect(Descriptor.classify(mounted).backing == expected)
            #expect(expected == .memory)
            close(mounted)
        }
    }

    /// The basic operations need none of these calls.
    @Test(.notSimulated(.process), arguments: names, [EPERM, ENOSYS])
    func withoutNewerSystemCallsTheOlderOnesDo(_ name: String, _ errno: Int32) async {
        await #expect(processExitsWith: .success) { [name = name as String, errno = errno as Int32] in
            let calls = [
                CK_NR_preadv2, CK_NR_pwritev2, CK_NR_statx, CK_NR_memfd_create, CK_NR_openat2, CK_NR_cachestat,
                CK_NR_statmount, CK_NR_epoll_pwait2, CK_NR_futex_waitv, CK_NR_copy_file_range, CK_NR_process_vm_readv,
            ]
            try Seccomp.refuse(calls, with: errno)
            var configuration = IORuntime.Configuration()
            configuration.queueDepth = 64
            configuration.engine = .forced(try #require(EngineKind(name)))
            let runtime = try IORuntime(configuration)
            try await use(runtime)
            try await append(runtime)
            let link = try await Paths.status(of: "/proc/self", followLinks: false, runtime: runtime)
            #expect(link.type == .symbolicLink)
            await runtime.shutdown()
        }
    }

    /// One worker exists from the start; work that gets no further thread waits for it.
    @Test(.notSimulated(.process), arguments: names)
    func withoutFurtherThreadsARuntimeGoesOn(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            var configuration = IORuntime.Configuration()
            configuration.queueDepth = 64
            configuration.engine = .forced(try #require(EngineKind(name)))
            let runtime = try IORuntime(configuration)
            try await use(runtime)
            if getuid() == 0 { try #require(setuid(65534) == 0) }
            var limit = rlimit(rlim_cur: 0, rlim_max: 0)
            try #require(setrlimit(__rlimit_resource_t(6), &limit) == 0)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<20 { group.addTask { try await use(runtime) } }
                try await group.waitForAll()
            }
            await runtime.shutdown()
        }
    }
}

private func made(_ lines: LogLines) throws -> IORuntime {
    var configuration = IORuntime.Configuration()
    configuration.queueDepth = 64
    configuration.engine = .forced(.ioUring)
    configuration.log = { lines.append($0) }
    return try IORuntime(configuration)
}

private func ringQueue() throws -> IOQueue {
    var configuration = IOQueue.Configuration()
    configuration.engine = .forced(.ioUring)
    return try IOQueue(configuration)
}

/// Files, streams and timers, from a thread other than the loop's.
/// Without pwritev2(2) a file's own mode stands for the flag of a write, where it says the same.
private func append(_ runtime: IORuntime) async throws {
    try await withScratch { scratch in
        let path = Path(scratch.path("append"))
        try await withFile(path, .write, options: [.create, .append], runtime: runtime) { file in
            let count = try await file.write([1], at: 0, flags: .append)
            #expect(count == 1)
        }
        try await withFile(path, .write, runtime: runtime) { file in
            do throws(IOError) {
                _ = try await file.write([2], at: 0, flags: .append)
            } catch {
                #expect(error.errno?.rawValue == EOPNOTSUPP)
            }
        }
        let content = try await Paths.readFile(path, runtime: runtime)
        // A ring appends all the same, since it makes no such call.
        #expect(content == [1] || content == [1, 2])
    }
}

private func use(_ runtime: IORuntime) async throws {
    try await withScratch { scratch in
        try await withFile(Path(scratch.path("file")), .readWrite, options: .create, runtime: runtime) { file in
            let bytes = [UInt8](repeating: 7, count: 100_000)
            try await file.writeAll(bytes, at: 0)
            try await file.sync()
            try await file.advise(.dontNeed)
            #expect(try await file.readExactly(count: bytes.count, at: 0) == bytes)
            #expect(try await file.status().size == Int64(bytes.count))
        }
        let names = try await Paths.status(of: Path(scratch.folder), runtime: runtime)
        #expect(names.isDirectory)
        #expect(try await Paths.readFile(Path(scratch.path("file")), runtime: runtime).count == 100_000)
        let (one, other) = try Connection.pair(runtime: runtime)
        let read = Task { try await one.read(upTo: 4) }
        try await Task.detached { try await other.writeAll([7]) }.value
        #expect(try await read.value == [7])
        try await one.close()
        try await other.close()
    }
    try await runtime.sleep(for: .milliseconds(1))
}
