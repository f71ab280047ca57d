import AIO
import AIOCore
import CKernel
import Glibc
import Testing

/// Files that are neither on a device nor streams.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct SpecialFileTests {
    @Test(arguments: ways)
    func eventDescriptorsAreWrittenAndRead(_ way: Way) async throws {
        let event = try eventDescriptor(CK_EFD_CLOEXEC)
        defer { closeDescriptor(event) }
        try await way.run { performer in
            let seven = Memory([7, 0, 0, 0, 0, 0, 0, 0])
            try await performer.expect(.write(seven.transfer(event)), completesWith: 8)
            try await performer.expect(.write(seven.transfer(event)), completesWith: 8)
            let sum = Memory(count: 8)
            try await performer.expect(.read(sum.transfer(event)), completesWith: 8)
            #expect(sum.bytes == [14, 0, 0, 0, 0, 0, 0, 0])
        }
    }

    @Test(arguments: engines, [false, true])
    func aReadOfAnEventDescriptorWaitsForTheEvent(_ engine: EngineKind, _ isNonBlocking: Bool) async throws {
        let event = try eventDescriptor(CK_EFD_CLOEXEC | (isNonBlocking ? CK_EFD_NONBLOCK : 0))
        defer { closeDescriptor(event) }
        try await withRuntime(engine, { $0.workerLimit = 1 }) { runtime in
            let read = Task {
                let memory = Memory(count: 8)
                _ = try await runtime.perform(.read(memory.transfer(event)))
                return memory.bytes
            }
            try await eventually { runtime.inFlightCount == 1 }
            signal(event, 3)
            #expect(try await read.value == [3, 0, 0, 0, 0, 0, 0, 0])
        }
    }

    @Test(arguments: ways)
    func zeroAndNullAreRead(_ way: Way) async throws {
        let zero = try openDescriptor("/dev/zero", O_RDWR)
        let null = try openDescriptor("/dev/null", O_RDWR)
        defer {
            closeDescriptor(zero)
            closeDescriptor(null)
        }
        try await way.run { performer in
            let memory = Memory([UInt8](repeating: 1, count: 10_000))
            // Without blocking, the kernel may stop after a page to let other threads run.
            let count = try await performer.perform(.read(memory.transfer(zero, at: 1 << 50)))
            #expect(count > 0)
            #expect(memory.bytes.prefix(Int(count)).allSatisfy { $0 == 0 })
            try await performer.expect(.read(memory.transfer(null)), completesWith: 0)
            try await performer.expect(.write(memory.transfer(null)), completesWith: 10_000)
            try await performer.expect(.write(memory.transfer(zero)), completesWith: 10_000)
        }
    }

    @Test(arguments: ways)
    func devicesThatCannotBeAskedWithoutWaitingAreRead(_ way: Way) async throws {
        for name in ["/dev/full", "/dev/urandom"] {
            let device = try openDescriptor(name, O_RDWR | O_NONBLOCK)
            defer { closeDescriptor(device) }
            try await way.run { performer in
                let memory = Memory([UInt8](repeating: 1, count: 100))
                try await performer.expect(.read(memory.transfer(device)), completesWith: 100)
                #expect(memory.bytes != [UInt8](repeating: 1, count: 100))
            }
        }
    }

    @Test(arguments: ways)
    func writingToAFullDeviceFailsWithENOSPC(_ way: Way) async throws {
        let full = try openDescriptor("/dev/full", O_RDWR)
        defer { closeDescriptor(full) }
        try await way.run { performer in
            let memory = Memory(count: 10)
            await performer.expect(.write(memory.transfer(full)), failsWith: ENOSPC)
            withExtendedLifetime(memory) {}
        }
    }

    /// Their reported size is 0 or a page, whatever they contain.
    @Test(
        .notSimulated(.mounts), arguments: engines,
        ["/proc/self/status", "/proc/version", "/proc/cpuinfo", "/sys/kernel/mm/transparent_hugepage/enabled"])
    func filesOfTheKernelAreReadToTheirEnd(_ engine: EngineKind, _ path: String) async throws {
        let descriptor = try openDescriptor(path)
        let expected = readToEnd(descriptor)
        closeDescriptor(descriptor)
        try await withRuntime(engine) { runtime in
            try await withFile(Path(path), runtime: runtime) { file in
                var content: [UInt8] = []
                while case let piece = try await file.read(upTo: 64, at: Int64(content.count)), !piece.isEmpty {
                    content += piece
                }
                #expect(!content.isEmpty)
                // Numbers in the files change; the first line is stable.
                #expect(content.prefix { $0 != 10 } == expected.prefix { $0 != 10 })
                #expect(try await file.read(upTo: 64, at: 1 << 30) == [])
            }
        }
    }

    @Test(.notSimulated(.mounts), arguments: ways)
    func aFileOfTheKernelThatCannotBeWrittenSaysSo(_ way: Way) async throws {
        let descriptor = try openDescriptor("/proc/version")
        defer { closeDescriptor(descriptor) }
        try await way.run { performer in
            let memory = Memory(count: 10)
            await performer.expect(.write(memory.transfer(descriptor)), failsWith: EBADF)
            withExtendedLifetime(memory) {}
        }
    }

    /// It looks like a regular file and takes no offset.
    @Test(.notSimulated(.mounts), arguments: ways)
    func aFileOfTheKernelIsWritten(_ way: Way) async throws {
        let descriptor = try openDescriptor("/proc/self/comm", O_RDWR)
        defer { closeDescriptor(descriptor) }
        let name = readToEnd(descriptor)
        try await way.run { performer in
            let memory = Memory(name)
            try await performer.expect(.write(memory.transfer(descriptor)), completesWith: name.count)
            let vectors = Vectors([Memory(name)])
            try await performer.expect(.writeVectored(vectors.transfer(descriptor)), completesWith: name.count)
            withExtendedLifetime((memory, vectors)) {}
        }
    }
}
