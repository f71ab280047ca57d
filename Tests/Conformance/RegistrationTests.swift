import AIO
import AIOCore
import CKernel
import Glibc
import Testing

/// Registered files and buffers of a queue.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct RegistrationTests {
    private let content = KnownContent(seed: 21)

    @Test(arguments: engines)
    func registeredFilesAreReadWrittenAndSynced(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let first = try openDescriptor(try scratch.file("first", content.bytes(count: 8192, at: 0)), O_RDWR)
            let second = try openDescriptor(try scratch.file("second"), O_RDWR)
            defer {
                closeDescriptor(first)
                closeDescriptor(second)
            }
            try await withQueue(engine) { queue in
                try queue.register(files: [first, second])
                let memory = Memory(count: 4096)
                for kind in [Descriptor.Kind.unknown, .buffered] {
                    let read = Transfer(.registered(0, kind: kind), memory.base, count: 4096, offset: 100)
                    #expect(try queue.blockingPerform(.read(read)) == 4096)
                    #expect(content.mismatch(memory.bytes, at: 100) == nil)
                    let write = Transfer(.registered(1, kind: kind), memory.base, count: 4096, offset: 0)
                    #expect(try queue.blockingPerform(.write(write)) == 4096)
                }
                #expect(try queue.blockingPerform(.sync(.registered(1), .data)) == 0)
                #expect(try queue.blockingPerform(.truncate(.registered(1), size: 1000)) == 0)
                #expect(try queue.blockingPerform(.allocate(.registered(1), mode: 0, offset: 0, count: 2000)) == 0)
                let range = Operation.syncRange(.registered(1), offset: 0, count: 1 << 33, flags: 2)
                #expect(try queue.blockingPerform(range) == 0)
                try queue.unregisterFiles()
            }
            #expect(try scratch.content("second").prefix(1000) == content.bytes(count: 1000, at: 100)[...])
        }
    }

    @Test(arguments: engines)
    func registeredStreamsAreWaitedFor(_ engine: EngineKind) async throws {
        try await withQueue(engine) { queue in
            try await Ends.with { ends in
                try queue.register(files: [ends.reading, ends.writing])
                let target = Memory(count: 1)
                try queue.prepare(.read(Transfer(.registered(0), target.base, count: 1, offset: 0)), context: 1)
                try queue.prepare(.poll(.registered(1), events: CK_POLLOUT), context: 2)
                try queue.submit()
                let source = Memory([77])
                try queue.prepare(.write(Transfer(.registered(1), source.base, count: 1, offset: 0)), context: 3)
                try queue.waitPatiently(atLeast: 3)
                let results = Dictionary(uniqueKeysWithValues: queue.completions().map { ($0.context, $0.result) })
                #expect(results == [1: 1, 2: Int32(CK_POLLOUT), 3: 1])
                #expect(target.bytes == [77])
                withExtendedLifetime(source) {}
                try queue.unregisterFiles()
            }
        }
    }

    /// The queue keeps registered files open.
    @Test(arguments: engines)
    func aRegisteredFileOutlivesItsDescriptor(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let descriptor = try openDescriptor(try scratch.file("outlives", content.bytes(count: 100, at: 0)))
            try await withQueue(engine) { queue in
                try queue.register(files: [descriptor])
                closeDescriptor(descriptor)
                let memory = Memory(count: 100)
                let read = Transfer(.registered(0), memory.base, count: 100, offset: 0)
                #expect(try queue.blockingPerform(.read(read)) == 100)
                #expect(content.mismatch(memory.bytes, at: 0) == nil)
            }
        }
    }

    @Test(arguments: engines)
    func indicesThatAreNotRegisteredFailWithEBADF(_ engine: EngineKind) async throws {
        try await withQueue(engine) { queue in
            let performer = Performer.queue(queue)
            let memory = Memory(count: 1)
            func read(_ index: Int32) -> Operation {
                .read(Transfer(.registered(index), memory.base, count: 1, offset: 0))
            }
            await performer.expect(read(0), failsWith: EBADF)
            let null = try openDescriptor("/dev/null")
            defer { closeDescriptor(null) }
            try queue.register(files: [null])
            try await performer.expect(read(0), completesWith: 0)
            for index in [Int32(1), 1000, -1, .max] { await performer.expect(read(index), failsWith: EBADF) }
            try queue.unregisterFiles()
            await performer.expect(read(0), failsWith: EBADF)
        }
    }

    @Test(arguments: engines)
    func badRegistrationsAreRefused(_ engine: EngineKind) async throws {
        try await withQueue(engine) { queue in
            await expectError(.invalidArgument) { try queue.register(files: []) }
            await expectError(.badDescriptor) { try queue.register(files: [1_000_000]) }
            await expectError(.other) { try queue.unregisterFiles() }
            let null = try openDescriptor("/dev/null")
            defer { closeDescriptor(null) }
            try queue.register(files: [null])
            let error = await expectError(.other) { try queue.register(files: [null]) }
            #expect(error?.errno?.rawValue == EBUSY)
            try queue.unregisterFiles()
            try queue.register(files: [null])
            await expectError(.invalidArgument) { try queue.register(buffers: []) }
            await expectError(.other) { try queue.unregisterBuffers() }
        }
    }

    @Test(arguments: engines)
    func registeredBuffersCarryTheData(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = try scratch.file("buffers", content.bytes(count: 16_384, at: 0))
            let descriptor = try openDescriptor(path, O_RDWR)
            defer { closeDescriptor(descriptor) }
            try await withQueue(engine) { queue in
                let memory = [Memory(count: 8192), Memory(count: 8192)]
                try queue.register(
                    buffers: memory.map { UnsafeMutableRawBufferPointer(start: $0.base, count: $0.count) })
                let file = Descriptor(descriptor)
                // At any address within the buffer.
                let read = Transfer(file, memory[1].base + 100, count: 4096, offset: 500, bufferIndex: 1)
                #expect(try queue.blockingPerform(.read(read)) == 4096)
                #expect(content.mismatch(memory[1].base + 100, count: 4096, at: 500) == nil)
                content.fill(memory[0].base, count: 8192, at: 20_000)
                let write = Transfer(file, memory[0].base, count: 8192, offset: 20_000, bufferIndex: 0)
                #expect(try queue.blockingPerform(.write(write)) == 8192)
                try queue.unregisterBuffers()
            }
            #expect(content.mismatch(Array(try scratch.content("buffers")[20_000...]), at: 20_000) == nil)
        }
    }

    @Test(arguments: engines)
    func transfersOutsideTheRegisteredBufferFailWithEFAULT(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = try scratch.file("outside", content.bytes(count: 16_384, at: 0))
            let descriptor = try openDescriptor(path, O_RDWR)
            defer { closeDescriptor(descriptor) }
            try await withQueue(engine) { queue in
                let performer = Performer.queue(queue)
                let memory = Memory(count: 8192)
                let other = Memory(count: 8192)
                func read(_ base: UnsafeMutableRawPointer, _ count: Int, _ index: UInt16) -> Operation {
                    .read(Transfer(Descriptor(descriptor), base, count: count, offset: 0, bufferIndex: index))
                }
                await performer.expect(read(memory.base, 100, 0), failsWith: EFAULT)
                try queue.register(buffers: [UnsafeMutableRawBufferPointer(start: memory.base, count: 8192)])
                try await performer.expect(read(memory.base, 100, 0), completesWith: 100)
                await performer.expect(read(memory.base, 100, 1), failsWith: EFAULT)
                await performer.expect(read(memory.base + 8000, 200, 0), failsWith: EFAULT)
                await performer.expect(read(other.base, 100, 0), failsWith: EFAULT)
                try queue.unregisterBuffers()
                withExtendedLifetime(other) {}
            }
        }
    }
}
