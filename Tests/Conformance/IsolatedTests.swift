import AIO
import AIOCore
import CKernel
import Glibc
import Testing
import UnitSupport

/// Each case that changes a whole process (its limits, its environment, its filters) runs in a separate process.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct IsolatedTests {
    /// Engines by name, since values that an exit test captures must be encodable.
    static let names = engines.map(\.description)

    // MARK: Choosing an engine

    @Test(.notSimulated(.process), arguments: names)
    func theEnvironmentForcesAnEngine(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            setenv("AIO_ENGINE", name, 1)
            let runtime = try IORuntime()
            #expect(runtime.selection.engine.description == name)
            #expect(runtime.selection.reason.contains("AIO_ENGINE"))
            #expect(try IOQueue().selection.engine.description == name)
            #expect(IORuntime.shared.selection.engine.description == name)
            // The program's own choice precedes the environment's.
            var configuration = IOQueue.Configuration()
            configuration.engine = .forced(.threads)
            #expect(try IOQueue(configuration).selection.engine == .threads)
            runtime.blockingShutdown()
        }
    }

    @Test(.notSimulated(.process), arguments: ["", "auto"])
    func anEmptyEnvironmentForcesNothing(_ value: String) async {
        await #expect(processExitsWith: .success) { [value = value as String] in
            setenv("AIO_ENGINE", value, 1)
            let queue = try IOQueue()
            // The best available engine comes first.
            #expect(queue.selection.engine == engines.first)
            #expect(!queue.selection.reason.contains("AIO_ENGINE"))
        }
    }

    @Test(.notSimulated(.process), arguments: ["io-uring", "IO_URING", "thread", "none", " threads"])
    func aMisspeltEngineIsAnErrorThatNamesTheRightOnes(_ value: String) async {
        await #expect(processExitsWith: .success) { [value = value as String] in
            setenv("AIO_ENGINE", value, 1)
            for attempt in [{ _ = try IORuntime() }, { _ = try IOQueue() }] as [() throws -> Void] {
                let error = await expectError(.invalidArgument) { try attempt() }
                #expect(error?.description.contains(value) == true)
                for name in EngineKind.allCases { #expect(error?.advice?.contains(name.description) == true) }
            }
            // Creating `shared` cannot throw; its operations do.
            await expectError(.invalidArgument) { try await IORuntime.shared.perform(.nop) }
            await expectError(.invalidArgument) { try await File.open("/dev/null") }
            await IORuntime.shared.shutdown()
        }
    }

    // MARK: io_uring disabled

    @Test(.notSimulated(.process), arguments: [EPERM, ENOSYS])
    func withoutIOUringAutomaticTakesThreadsAndSaysWhy(_ errno: Int32) async {
        await #expect(processExitsWith: .success) { [errno = errno as Int32] in
            try Seccomp.refuseIOUring(with: errno)
            #expect(!Availability.kernelHasIOUring())
            let runtime = try IORuntime()
            #expect(runtime.selection.engine == .threads)
            let name = errno == EPERM ? "EPERM" : "ENOSYS"
            #expect(runtime.selection.reason.contains(name), "\(runtime.selection)")
            #expect(runtime.selection.reason.contains("seccomp"))
            #expect(try IOQueue().selection.engine == .threads)
            try await exercise(runtime)
            await runtime.shutdown()
            var configuration = IORuntime.Configuration()
            configuration.engine = .forced(.ioUring)
            let error = await expectError(.engineUnavailable) { try IORuntime(configuration) }
            #expect(error?.errno?.rawValue == errno)
            #expect(error?.advice?.contains("threads") == true)
        }
    }

    /// Only for the automatic choice: with `threads` forced, the engine is `threads`.
    @Test(.notSimulated(.process), arguments: [true, false])
    func withoutIOUringDirectTransfersGoToLinuxAIOWhereItIsAllowed(_ isAllowed: Bool) async {
        await #expect(processExitsWith: .success) { [isAllowed = isAllowed as Bool] in
            try Seccomp.refuseIOUring(with: EPERM)
            if !isAllowed { try Seccomp.refuse([CK_NR_io_setup], with: EPERM) }
            var threads = IORuntime.Configuration()
            threads.engine = .forced(.threads)
            for (configuration, usesLinuxAIO) in [(threads, false), (IORuntime.Configuration(), isAllowed)] {
                let runtime = try IORuntime(configuration)
                #expect(runtime.selection.engine == .threads)
                try await exercise(runtime)
                #expect(!hasLinuxAIOContext(), "made when first needed")
                try await exerciseDirectly(runtime)
                #expect(hasLinuxAIOContext() == usesLinuxAIO)
                try await exercise(runtime)
                await runtime.shutdown()
            }
            #expect(!hasLinuxAIOContext())
        }
    }

    // MARK: Limits

    @Test(.notSimulated(.process), arguments: names)
    func withoutFreeDescriptorsSetUpFailsWithAdvice(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            var configuration = IORuntime.Configuration()
            configuration.engine = .forced(try #require(EngineKind(name)))
            var queueConfiguration = IOQueue.Configuration()
            queueConfiguration.engine = configuration.engine
            var held: [Int32] = []
            for attempt in [{ _ = try IORuntime(configuration) }, { _ = try IOQueue(queueConfiguration) }]
                as [() throws -> Void]
            {
                let error = try await Limits.errorWithoutDescriptors(&held) { try attempt() }
                #expect(error.code == .tooManyOpenFiles && error.advice?.contains("RLIMIT_NOFILE") == true, "\(error)")
            }
            for descriptor in held { closeDescriptor(descriptor) }
            // With descriptors available again, it works.
            let runtime = try IORuntime(configuration)
            #expect(try await runtime.perform(.nop) == 0)
            await runtime.shutdown()
        }
    }

    @Test(.notSimulated(.process), arguments: names)
    func withoutFreeDescriptorsAnOpenFailsAndTheRuntimeGoesOn(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            var configuration = IORuntime.Configuration()
            configuration.engine = .forced(try #require(EngineKind(name)))
            let runtime = try IORuntime(configuration)
            var held: [Int32] = []
            let refusal = try await Limits.errorWithoutDescriptors(&held) {
                try await File.open("/dev/null", runtime: runtime).close()
            }
            #expect(refusal.code == .tooManyOpenFiles && refusal.errno?.rawValue == EMFILE)
            #expect(try await runtime.perform(.nop) == 0)
            for descriptor in held { closeDescriptor(descriptor) }
            let file = try await File.open("/dev/null", runtime: runtime)
            try await file.close()
            await runtime.shutdown()
        }
    }

    @Test(.notSimulated(.process), arguments: names)
    func withoutFreeDescriptorsAQueueCannotExportOne(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            var configuration = IOQueue.Configuration()
            configuration.engine = .forced(try #require(EngineKind(name)))
            let queue = try IOQueue(configuration)
            var held: [Int32] = []
            let attempts: [() throws -> Void] = [
                { _ = try queue.pollableDescriptor }, { try queue.register(files: [0]) },
            ]
            for attempt in attempts {
                let refusal = try await Limits.errorWithoutDescriptors(&held) { try attempt() }
                #expect(refusal.code == .tooManyOpenFiles)
            }
            for descriptor in held { closeDescriptor(descriptor) }
            #expect(try queue.pollableDescriptor >= 0)
        }
    }

    @Test(.notSimulated(.process), .enabled(if: engines.contains(.ioUring), "io_uring alone pins memory"))
    func withoutLockedMemoryRegisteringBuffersFailsWithAdvice() async {
        await #expect(processExitsWith: .success) {
            var configuration = IOQueue.Configuration()
            configuration.engine = .forced(.ioUring)
            // A ring notes at its creation whether it may ignore the limit.
            try Limits.lockNoMoreMemoryThan(512 << 10)
            configuration.queueDepth = 16
            // The ring's own memory counts as well, together with that of the user's other processes that are subject
            // to the limit. The wait must not switch threads: another thread may still have the capability to ignore
            // it.
            var made: IOQueue?
            _ = UnitSupport.eventually {
                made = try? IOQueue(configuration)
                return made != nil
            }
            let queue = try #require(made)
            let memory = Memory(count: 1 << 20)
            let buffer = UnsafeMutableRawBufferPointer(start: memory.base, count: memory.count)
            let error = await expectError(.outOfMemory) { try queue.register(buffers: [buffer]) }
            #expect(error?.advice?.contains("RLIMIT_MEMLOCK") == true, "\(String(describing: error))")
            // A small buffer fits, once other processes of this user leave room. Without registration any buffer works.
            let small = UnsafeMutableRawBufferPointer(start: memory.base, count: 4096)
            try await eventually { (try? queue.register(buffers: [small])) != nil }
            let zero = try openDescriptor("/dev/zero")
            let count = try queue.blockingPerform(.read(memory.transfer(zero)))
            // A signal may interrupt the kernel's copying, so the count can be short.
            #expect(count > 0, "\(count)")
        }
    }

    @Test(.notSimulated(.process), arguments: names)
    func withLittleLockedMemoryARuntimeStillWorks(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            try Limits.lockNoMoreMemoryThan(0)
            var configuration = IORuntime.Configuration()
            configuration.engine = .forced(try #require(EngineKind(name)))
            do {
                let runtime = try IORuntime(configuration)
                try await exercise(runtime)
                await runtime.shutdown()
            } catch let error as IOError {
                // Before 5.12, and in new kernels, the limit also covers the ring's own memory.
                #expect(error.code == .outOfMemory)
                #expect(error.advice?.contains("RLIMIT_MEMLOCK") == true)
            }
        }
    }

    @Test(.notSimulated(.process)) func withoutLockedMemoryAutomaticStillFindsAnEngine() async {
        await #expect(processExitsWith: .success) {
            unsetenv("AIO_ENGINE")
            try Limits.lockNoMoreMemoryThan(0)
            let runtime = try IORuntime()
            // If no ring can be created for lack of memory, the reason names the limit.
            let isOtherEngine = runtime.selection.engine != engines[0]
            #expect(!isOtherEngine || runtime.selection.reason.contains("RLIMIT_MEMLOCK"), "\(runtime.selection)")
            try await exercise(runtime)
            await runtime.shutdown()
        }
    }

    @Test(.notSimulated(.process), arguments: names)
    func aWriteBeyondTheFileSizeLimitFailsWithEFBIG(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            signal(SIGXFSZ, SIG_IGN)
            var limit = rlimit(rlim_cur: 4096, rlim_max: 4096)
            #expect(setrlimit(__rlimit_resource_t(1), &limit) == 0)
            var configuration = IORuntime.Configuration()
            configuration.engine = .forced(try #require(EngineKind(name)))
            let runtime = try IORuntime(configuration)
            try await withScratch { scratch in
                try await withFile(
                    Path(scratch.path("big")), .write, options: .create, runtime: runtime
                ) { file in
                    let written = try await file.write([UInt8](repeating: 1, count: 8192), at: 0)
                    #expect(written == 4096)
                    await expectError(.fileTooLarge) { try await file.write([1], at: 4096) }
                }
            }
            await runtime.shutdown()
        }
    }

    // MARK: No leaks

    @Test(.notSimulated(.process), arguments: names)
    func runtimesAndQueuesLeaveNoDescriptorAndNoThreadBehind(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            let engine = try #require(EngineKind(name))
            func round() async throws {
                try await withRuntime(engine, { $0.loops = 2 }) { runtime in try await exercise(runtime) }
                var configuration = IOQueue.Configuration()
                configuration.engine = .forced(engine)
                let queue = try IOQueue(configuration)
                _ = try queue.pollableDescriptor
                try queue.register(files: [0, 1, 2])
                let folder = try openDescriptor(testDirectory, O_DIRECTORY)
                _ = try queue.blockingPerform(.sync(Descriptor(folder), .full))
                closeDescriptor(folder)
            }
            // The first round starts what Swift's thread pool and libc keep.
            try await round()
            let descriptors = openDescriptorCount()
            for _ in 0..<10 { try await round() }
            #expect(openDescriptorCount() == descriptors)
            try await eventually { !threadNames().contains { $0.hasPrefix("aio-") } }
        }
    }
}

/// Operations on every path: inline, by a worker, by waiting, by the clock.
private func exercise(_ runtime: IORuntime) async throws {
    try await withScratch { scratch in
        try await withFile(
            Path(scratch.path("file")), .readWrite, options: .create, runtime: runtime
        ) { file in
            try await file.writeAll([1, 2, 3], at: 0)
            try await file.sync()
            let bytes = try await file.read(upTo: 10, at: 0)
            #expect(bytes == [1, 2, 3])
        }
        try await Ends.with { ends in
            let reading = ends.reading
            let read = Task {
                let memory = Memory(count: 1)
                return try await runtime.perform(.read(memory.transfer(reading)))
            }
            try await eventually { runtime.inFlightCount == 1 }
            ends.put([1])
            #expect(try await read.value == 1)
        }
        let end = Deadline.soon
        try await runtime.sleep(until: end)
        #expect(.now >= end)
    }
}

/// Direct writes and reads, with many in flight.
private func exerciseDirectly(_ runtime: IORuntime) async throws {
    // On a disk file system: tmpfs has no real direct I/O.
    try await withScratch(in: "/var/tmp") { scratch in
        try await withFile(
            Path(scratch.path("direct")), .readWrite, options: [.create, .direct], runtime: runtime
        ) { file in
            #expect(file.descriptor.kind == .direct)
            let number = file.descriptor
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<40 {
                    group.addTask {
                        let memory = Memory([UInt8](repeating: UInt8(index), count: 4096))
                        let transfer = Transfer(number, memory.base, count: 4096, offset: Int64(index) * 4096)
                        let written = try await runtime.perform(.write(transfer))
                        memory.base.initializeMemory(as: UInt8.self, repeating: 0xff, count: 4096)
                        let count = try await runtime.perform(.read(transfer))
                        #expect(written == 4096 && count == 4096)
                        #expect(memory.bytes == [UInt8](repeating: UInt8(index), count: 4096))
                    }
                }
                try await group.waitForAll()
            }
        }
    }
}

/// Whether the ring of a Linux AIO context is mapped in this process.
private func hasLinuxAIOContext() -> Bool {
    let descriptor = Glibc.open("/proc/self/maps", O_RDONLY | O_CLOEXEC)
    defer { closeDescriptor(descriptor) }
    return String(decoding: readToEnd(descriptor), as: UTF8.self).contains("[aio]")
}

private func openDescriptorCount() -> Int { entryNames(in: "/proc/self/fd")?.count ?? 0 }

private func threadNames() -> [String] {
    (entryNames(in: "/proc/self/task") ?? []).compactMap { thread in
        // A thread may have exited since the directory was read.
        let descriptor = Glibc.open("/proc/self/task/\(thread)/comm", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { closeDescriptor(descriptor) }
        return String(decoding: readToEnd(descriptor), as: UTF8.self)
    }
}
