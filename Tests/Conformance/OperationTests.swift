import AIO
import AIOCore
import CKernel
import Glibc
import Testing

/// Every operation, as a plain value, does what its system call does.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct OperationTests {
    private let content = KnownContent(seed: 1)

    @Test(arguments: ways)
    func nopCompletesWithZero(_ way: Way) async throws {
        try await way.run { performer in try await performer.expect(.nop, completesWith: 0) }
    }

    @Test(arguments: engines)
    func whoHasACompletionFindsItCountedNoMore(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            var countedCount = 0
            for _ in 0..<5000 {
                _ = try await runtime.perform(.nop)
                if runtime.inFlightCount != 0 { countedCount += 1 }
            }
            #expect(countedCount == 0)
        }
    }

    @Test(arguments: ways)
    func readReturnsTheBytesAtItsOffset(_ way: Way) async throws {
        try await withScratch { scratch in
            let descriptor = try openDescriptor(try scratch.file("read", content.bytes(count: 10_000, at: 0)))
            defer { closeDescriptor(descriptor) }
            try await way.run { performer in
                let memory = Memory(count: 4000)
                try await performer.expect(.read(memory.transfer(descriptor, at: 1234)), completesWith: 4000)
                #expect(content.mismatch(memory.bytes, at: 1234) == nil)
            }
        }
    }

    @Test(arguments: ways)
    func readAtTheCurrentPositionMovesIt(_ way: Way) async throws {
        try await withScratch { scratch in
            let descriptor = try openDescriptor(try scratch.file("position", content.bytes(count: 1000, at: 0)))
            defer { closeDescriptor(descriptor) }
            try await way.run { performer in
                let memory = Memory(count: 100)
                for turn in 0..<3 {
                    let read = Operation.read(memory.transfer(descriptor, at: Transfer.currentPosition))
                    try await performer.expect(read, completesWith: 100)
                    #expect(content.mismatch(memory.bytes, at: Int64(turn) * 100) == nil)
                }
                #expect(lseek(descriptor, 0, SEEK_CUR) == 300)
            }
        }
    }

    @Test(arguments: ways)
    func writeLandsAtItsOffset(_ way: Way) async throws {
        try await withScratch { scratch in
            let descriptor = try openDescriptor(try scratch.file("write"), O_RDWR)
            defer { closeDescriptor(descriptor) }
            try await way.run { performer in
                let memory = Memory(content.bytes(count: 5000, at: 300))
                try await performer.expect(.write(memory.transfer(descriptor, at: 300)), completesWith: 5000)
            }
            let written = try scratch.content("write")
            #expect(written.count == 5300)
            #expect(written[..<300].allSatisfy { $0 == 0 })
            #expect(content.mismatch(Array(written[300...]), at: 300) == nil)
        }
    }

    @Test(arguments: ways)
    func readVectoredFillsItsBuffersInOrder(_ way: Way) async throws {
        try await withScratch { scratch in
            let descriptor = try openDescriptor(try scratch.file("readv", content.bytes(count: 9000, at: 0)))
            defer { closeDescriptor(descriptor) }
            try await way.run { performer in
                let vectors = Vectors([Memory(count: 10), Memory(count: 4096), Memory(count: 77)])
                let read = Operation.readVectored(vectors.transfer(descriptor, at: 50))
                try await performer.expect(read, completesWith: 4183)
                var offset: Int64 = 50
                for part in vectors.parts {
                    #expect(content.mismatch(part.bytes, at: offset) == nil)
                    offset += Int64(part.count)
                }
            }
        }
    }

    @Test(arguments: ways)
    func writeVectoredWritesItsBuffersInOrder(_ way: Way) async throws {
        try await withScratch { scratch in
            let descriptor = try openDescriptor(try scratch.file("writev"), O_RDWR)
            defer { closeDescriptor(descriptor) }
            try await way.run { performer in
                let vectors = Vectors([
                    Memory(content.bytes(count: 10, at: 0)), Memory(content.bytes(count: 5000, at: 10)),
                    Memory(content.bytes(count: 1, at: 5010)),
                ])
                let write = Operation.writeVectored(vectors.transfer(descriptor))
                try await performer.expect(write, completesWith: 5011)
                withExtendedLifetime(vectors) {}
            }
            let written = try scratch.content("writev")
            #expect(written.count == 5011)
            #expect(content.mismatch(written, at: 0) == nil)
        }
    }

    @Test(arguments: ways, [SyncLevel.full, .data])
    func syncOfAWrittenFileSucceeds(_ way: Way, _ level: SyncLevel) async throws {
        try await withScratch { scratch in
            let descriptor = try openDescriptor(try scratch.file("sync", [1, 2, 3]), O_RDWR)
            defer { closeDescriptor(descriptor) }
            try await way.run { performer in
                try await performer.expect(.sync(Descriptor(descriptor), level), completesWith: 0)
            }
        }
    }

    @Test(arguments: ways, [Int64(0), 4096, Int64(1) << 33])
    func syncRangeSucceedsForAnyLength(_ way: Way, _ count: Int64) async throws {
        try await withScratch { scratch in
            let path = try scratch.file("range", content.bytes(count: 20_000, at: 0))
            let descriptor = try openDescriptor(path, O_RDWR)
            defer { closeDescriptor(descriptor) }
            try await way.run { performer in
                let flags = CK_SYNC_FILE_RANGE_WAIT_BEFORE | CK_SYNC_FILE_RANGE_WRITE | CK_SYNC_FILE_RANGE_WAIT_AFTER
                let sync = Operation.syncRange(Descriptor(descriptor), offset: 4096, count: count, flags: flags)
                try await performer.expect(sync, completesWith: 0)
            }
        }
    }

    @Test(arguments: ways)
    func openReturnsADescriptorThatTheCallerOwns(_ way: Way) async throws {
        try await withScratch { scratch in
            try await way.run { performer in
                let arguments = OpenArguments(scratch.path("made"), CK_O_RDWR | CK_O_CREAT | CK_O_EXCL, mode: 0o600)
                let descriptor = try await performer.perform(arguments.operation)
                #expect(isOpen(descriptor))
                #expect(fcntl(descriptor, F_GETFD) & FD_CLOEXEC != 0)
                // The second time the file exists.
                await expectError(.alreadyExists) { try await performer.perform(arguments.operation) }
                closeDescriptor(descriptor)
                withExtendedLifetime(arguments) {}
            }
        }
    }

    @Test(arguments: ways)
    func closeClosesTheDescriptor(_ way: Way) async throws {
        try await way.run { performer in
            try await Ends.with { ends in
                try await performer.expect(.close(ends.writing), completesWith: 0)
                ends.writing = -1
                try await eventually { ends.isWritingEndGone }
            }
        }
    }

    @Test(arguments: ways)
    func statusTellsSizeAndType(_ way: Way) async throws {
        try await withScratch { scratch in
            let path = OpenArguments(try scratch.file("status", [UInt8](repeating: 0, count: 777)))
            let result = UnsafeMutablePointer<ck_statx>.allocate(capacity: 1)
            defer { result.deallocate() }
            result.initialize(to: ck_statx())
            try await way.run { performer in
                let status = Operation.status(
                    directory: CK_AT_FDCWD, path: UnsafePointer(path.path), flags: 0, mask: CK_STATX_BASIC_STATS,
                    result: result)
                try await performer.expect(status, completesWith: 0)
            }
            #expect(result.pointee.size == 777)
            #expect(result.pointee.mode & CK_S_IFMT == CK_S_IFREG)
            withExtendedLifetime(path) {}
        }
    }

    @Test(arguments: ways)
    func allocateMakesTheFileLonger(_ way: Way) async throws {
        try await withScratch { scratch in
            let descriptor = try openDescriptor(try scratch.file("allocate"), O_RDWR)
            defer { closeDescriptor(descriptor) }
            try await way.run { performer in
                let allocate = Operation.allocate(Descriptor(descriptor), mode: 0, offset: 0, count: 100_000)
                try await performer.expect(allocate, completesWith: 0)
            }
            #expect(lseek(descriptor, 0, SEEK_END) == 100_000)
        }
    }

    @Test(arguments: ways, [Int64(100), 50_000])
    func truncateSetsTheSize(_ way: Way, _ size: Int64) async throws {
        try await withScratch { scratch in
            let path = try scratch.file("truncate", content.bytes(count: 10_000, at: 0))
            let descriptor = try openDescriptor(path, O_RDWR)
            defer { closeDescriptor(descriptor) }
            try await way.run { performer in
                try await performer.expect(.truncate(Descriptor(descriptor), size: size), completesWith: 0)
            }
            #expect(lseek(descriptor, 0, SEEK_END) == size)
        }
    }

    @Test(arguments: ways, [CK_FADV_NORMAL, CK_FADV_RANDOM, CK_FADV_SEQUENTIAL, CK_FADV_WILLNEED, CK_FADV_DONTNEED])
    func adviseIsTaken(_ way: Way, _ advice: Int32) async throws {
        try await withScratch { scratch in
            let descriptor = try openDescriptor(try scratch.file("advise", content.bytes(count: 20_000, at: 0)))
            defer { closeDescriptor(descriptor) }
            try await way.run { performer in
                for count in [Int64(0), 8192, 1 << 33] {
                    let advise = Operation.advise(Descriptor(descriptor), offset: 0, count: count, advice: advice)
                    try await performer.expect(advise, completesWith: 0)
                }
            }
        }
    }

    @Test(arguments: ways)
    func pollCompletesWithTheEventsThatHold(_ way: Way) async throws {
        try await way.run { performer in
            try await Ends.with(.socket) { ends in
                ends.put([1])
                let both = CK_POLLIN | CK_POLLOUT
                let events = try await performer.perform(.poll(Descriptor(ends.reading), events: both))
                #expect(UInt32(events) == both)
            }
        }
    }

    @Test(arguments: ways)
    func pollReportsAHangUpThatWasNotAskedFor(_ way: Way) async throws {
        try await way.run { performer in
            try await Ends.with(.pipe) { ends in
                ends.closeWriting()
                let events = try await performer.perform(.poll(Descriptor(ends.reading), events: CK_POLLIN))
                #expect(UInt32(events) == CK_POLLHUP)
            }
        }
    }

    @Test(arguments: ways)
    func pollOfAFileFindsItReady(_ way: Way) async throws {
        try await withScratch { scratch in
            let descriptor = try openDescriptor(try scratch.file("poll", [1]), O_RDWR)
            defer { closeDescriptor(descriptor) }
            try await way.run { performer in
                let both = CK_POLLIN | CK_POLLOUT
                try await performer.expect(.poll(Descriptor(descriptor), events: both), completesWith: Int(both))
            }
        }
    }

    @Test(arguments: ways)
    func timeoutCompletesWithZeroAndNotBeforeItsTime(_ way: Way) async throws {
        try await way.run { performer in
            let deadline = monotonicNow() + 2_000_000
            try await performer.expect(.timeout(deadline: deadline), completesWith: 0)
            #expect(monotonicNow() >= deadline)
        }
    }

    @Test(arguments: ways)
    func timeoutInThePastCompletesAtOnce(_ way: Way) async throws {
        try await way.run { performer in
            try await performer.expect(.timeout(deadline: 0), completesWith: 0)
            try await performer.expect(.timeout(deadline: 1), completesWith: 0)
        }
    }

    @Test(arguments: ways)
    func cancelOfWhatNeverWasFailsWithENOENT(_ way: Way) async throws {
        try await way.run { performer in
            for unknown in [Token(rawValue: .max), Token(rawValue: 9 << 32), Token(rawValue: 1_000_000)] {
                await performer.expect(.cancel(target: unknown), failsWith: ENOENT)
            }
        }
    }
}

/// The monotonic clock in nanoseconds.
func monotonicNow() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}
