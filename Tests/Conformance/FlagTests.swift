import AIO
import AIOCore
import CKernel
import Glibc
import Testing
import UnitSupport

/// Flags of a single transfer take effect, or are refused with the same error on every engine.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct FlagTests {
    /// Flags for writes, of which the kernel may not know all.
    static let writeFlags: [(name: String, flags: TransferFlags)] = [
        ("DSYNC", .dataSync), ("SYNC", .sync), ("APPEND", .append), ("NOWAIT", .noWait), ("DONTCACHE", .dontCache),
        ("HIPRI", .highPriority), ("ATOMIC", .atomic), ("NOAPPEND", .noAppend),
    ]
    static let names = writeFlags.map(\.name)

    private func flags(_ name: String) throws -> TransferFlags {
        try #require(Self.writeFlags.first { $0.name == name }).flags
    }

    /// Every engine returns what pwritev2(2) returns: the byte count, EOPNOTSUPP, EINVAL or EAGAIN.
    @Test(arguments: ways, names)
    func aWriteWithAFlagEndsAsPwritev2Does(_ way: Way, _ name: String) async throws {
        for fileSystem in [FileSystem.machine, .tmpfs] {
            try await compare(way, fileSystem, try flags(name), isWrite: true)
        }
    }

    @Test(arguments: ways, ["NOWAIT", "DONTCACHE", "HIPRI", "ATOMIC", "APPEND"])
    func aReadWithAFlagEndsAsPreadv2Does(_ way: Way, _ name: String) async throws {
        for fileSystem in [FileSystem.machine, .tmpfs] {
            try await compare(way, fileSystem, try flags(name), isWrite: false)
        }
    }

    @Test(arguments: ways, [Descriptor.Kind.buffered, .direct])
    func aFlagThatNobodyKnowsIsRefused(_ way: Way, _ kind: Descriptor.Kind) async throws {
        try await withScratch { scratch in
            let path = try scratch.file("unknown", [UInt8](repeating: 1, count: 4096))
            let descriptor = try openDescriptor(path, O_RDWR | (kind == .direct ? Int32(CK_O_DIRECT) : 0))
            defer { closeDescriptor(descriptor) }
            let memory = Memory(count: 4096)
            try await way.run { performer in
                for kind in [Descriptor.Kind.unknown, kind] {
                    let unknown = TransferFlags(rawValue: 1 << 20)
                    let transfer = memory.transfer(descriptor, flags: unknown, kind: kind)
                    #expect([EOPNOTSUPP, EINVAL].contains(await performer.errno(of: .read(transfer))))
                    #expect([EOPNOTSUPP, EINVAL].contains(await performer.errno(of: .write(transfer))))
                }
            }
            withExtendedLifetime(memory) {}
        }
    }

    private func compare(_ way: Way, _ fileSystem: FileSystem, _ flags: TransferFlags, isWrite: Bool) async throws {
        try await withScratch(on: fileSystem) { scratch in
            let content = [UInt8](repeating: 5, count: 4096)
            let descriptor = try openDescriptor(try scratch.file("flags", content), O_RDWR)
            defer { closeDescriptor(descriptor) }
            let memory = Memory(content)
            var vector = iovec(iov_base: memory.base, iov_len: memory.count)
            let number = isWrite ? CK_NR_pwritev2 : CK_NR_preadv2
            let expected = withUnsafePointer(to: &vector) {
                SystemCall.call(number, Int(descriptor), address($0), 1, 0, 0, Int(flags.rawValue))
            }
            try await way.run { performer in
                let transfer = memory.transfer(descriptor, flags: flags)
                let operation = isWrite ? Operation.write(transfer) : .read(transfer)
                if expected >= 0 {
                    try await performer.expect(operation, completesWith: expected)
                } else {
                    let errno = await performer.errno(of: operation)
                    #expect(errno == Int32(-expected), "\(fileSystem.rawValue)")
                    #expect([EOPNOTSUPP, EINVAL, EAGAIN].contains(errno))
                }
            }
        }
    }

    @Test(arguments: ways)
    func anAppendingWriteGoesToTheEndWhateverItsOffset(_ way: Way) async throws {
        try await withScratch { scratch in
            let descriptor = try openDescriptor(try scratch.file("append", [1, 2, 3]), O_RDWR)
            defer { closeDescriptor(descriptor) }
            try await way.run { performer in
                let memory = Memory([4, 5])
                try await performer.expect(.write(memory.transfer(descriptor, at: 0, flags: .append)), completesWith: 2)
            }
            #expect(try scratch.content("append") == [1, 2, 3, 4, 5])
        }
    }

    /// A quick device may win the race, but there is no third outcome.
    @Test(arguments: ways)
    func noWaitOnAnEmptyCacheIsEAGAINOrTheData(_ way: Way) async throws {
        try await withScratch { scratch in
            let content = KnownContent(seed: 3)
            let path = try scratch.file("cold", content.bytes(count: 1 << 20, at: 0))
            let descriptor = try openDescriptor(path, O_RDWR)
            defer { closeDescriptor(descriptor) }
            #expect(fsync(descriptor) == 0)
            #expect(posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED) == 0)
            let memory = Memory(count: 4096)
            var vector = iovec(iov_base: memory.base, iov_len: 1)
            let known = withUnsafePointer(to: &vector) {
                SystemCall.call(CK_NR_preadv2, Int(descriptor), address($0), 1, 0, 0, Int(CK_RWF_NOWAIT))
            }
            if known == -Int(EOPNOTSUPP) {
                try Test.cancel("\(skipped("files of \(testDirectory) know no RWF_NOWAIT"))")
            }
            #expect(posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED) == 0)
            try await way.run { performer in
                for offset in stride(from: Int64(0), to: 1 << 20, by: 65_536) {
                    let errno = await performer.errno(
                        of: .read(memory.transfer(descriptor, at: offset, flags: .noWait)))
                    #expect([0, EAGAIN].contains(errno))
                    if errno == 0 { #expect(content.mismatch(memory.bytes, at: offset) == nil) }
                }
            }
        }
    }

    @Test(arguments: engines)
    func noWaitOfAFileIsWouldBlock(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            try await Ends.with { ends in
                let file = File(adopting: dup(ends.reading), runtime: runtime)
                await expectError(.wouldBlock) { try await file.read(upTo: 1, at: 0, flags: .noWait) }
                ends.put([1])
                let bytes = try await file.read(upTo: 1, at: 0, flags: .noWait)
                #expect(bytes == [1])
                try await file.close()
            }
        }
    }
}
