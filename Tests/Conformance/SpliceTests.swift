import AIO
import AIOCore
import CKernel
import Glibc
import Testing

/// splice(2) and tee(2) through pipes, waiting without a worker.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct SpliceTests {
    @Test(arguments: ways, [false, true])
    func aFileGoesThroughAPipeIntoAnother(_ way: Way, _ atOffsets: Bool) async throws {
        let content = KnownContent(seed: 4)
        try await withScratch { scratch in
            let source = try openDescriptor(try scratch.file("source", content.bytes(count: 5000, at: 0)))
            let target = try openDescriptor(try scratch.file("target"), O_RDWR)
            defer {
                closeDescriptor(source)
                closeDescriptor(target)
            }
            try await way.run { performer in
                try await Ends.with { ends in
                    let from: Int64 = atOffsets ? 1000 : Transfer.currentPosition
                    let into = Splice(
                        from: Descriptor(source), inputOffset: from, to: .socket(ends.writing), count: 3000)
                    try await performer.expect(.splice(into), completesWith: 3000)
                    let to: Int64 = atOffsets ? 10 : Transfer.currentPosition
                    let out = Splice(
                        from: .socket(ends.reading), to: Descriptor(target), outputOffset: to, count: 9000)
                    try await performer.expect(.splice(out), completesWith: 3000)
                }
            }
            let moved = try scratch.content("target")
            #expect(content.mismatch(Array(moved.dropFirst(atOffsets ? 10 : 0)), at: atOffsets ? 1000 : 0) == nil)
            #expect(moved.count == (atOffsets ? 3010 : 3000))
            #expect(lseek(source, 0, SEEK_CUR) == (atOffsets ? 0 : 3000))
        }
    }

    @Test(arguments: engines)
    func aSpliceWaitsForDataAndThenForRoom(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            try await withConnection { client, server in
                try await Ends.with { ends in
                    let filled = ends.fillUp()
                    let splice = Splice(from: .socket(server), to: .socket(ends.writing), count: 10)
                    let task = Task { try await runtime.perform(.splice(splice)) }
                    try await eventually { runtime.inFlightCount == 1 }
                    #expect(Glibc.send(client, [1, 2, 3] as [UInt8], 3, 0) == 3)
                    ends.drain(filled)
                    #expect(try await task.value == 3)
                    #expect(ends.get(10) == [1, 2, 3])
                }
            }
        }
    }

    @Test(arguments: ways)
    func aSpliceThatShallNotWaitSaysSo(_ way: Way) async throws {
        try await way.run { performer in
            try await withConnection { client, server in
                try await Ends.with { ends in
                    let flags = CK_SPLICE_F_NONBLOCK
                    let splice = Splice(from: .socket(server), to: .socket(ends.writing), count: 10, flags: flags)
                    await performer.expect(.splice(splice), failsWith: EAGAIN)
                    _ = ends.fillUp()
                    #expect(Glibc.send(client, [1, 2, 3] as [UInt8], 3, 0) == 3)
                    await performer.expect(.splice(splice), failsWith: EAGAIN)
                }
            }
        }
    }

    @Test(arguments: ways)
    func aSpliceAtTheEndReturnsZeroAndWithoutAPipeFails(_ way: Way) async throws {
        try await way.run { performer in
            try await withConnection { client, server in
                try await Ends.with { ends in
                    let none = Splice(from: .socket(server), to: .socket(client), count: 10)
                    #expect(Glibc.shutdown(client, Int32(SHUT_WR)) == 0)
                    await performer.expect(.splice(none), failsWith: EINVAL)
                    let splice = Splice(from: .socket(server), to: .socket(ends.writing), count: 10)
                    try await performer.expect(.splice(splice), completesWith: 0)
                }
            }
        }
    }

    @Test(arguments: ways)
    func teeCopiesAndLeavesTheData(_ way: Way) async throws {
        try await way.run { performer in
            try await Ends.with { one in
                try await Ends.with { other in
                    one.put([1, 2, 3])
                    let tee = Splice(from: .socket(one.reading), to: .socket(other.writing), count: 100)
                    try await performer.expect(.tee(tee), completesWith: 3)
                    #expect(one.get(10) == [1, 2, 3])
                    #expect(other.get(10) == [1, 2, 3])
                    await expectError(.deadlineExceeded) {
                        try await performer.perform(.tee(tee), deadline: .soon)
                    }
                }
            }
        }
    }

    @Test(arguments: engines)
    func splicesThatWaitHoldNoWorkerAndCanBeCancelled(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let descriptor = try openDescriptor(try scratch.file("beside", [1, 2, 3]), O_RDWR)
            defer { closeDescriptor(descriptor) }
            try await withRuntime(engine, { $0.workerLimit = 2 }) { runtime in
                try await Ends.with { one in
                    try await Ends.with { other in
                        let splice = Splice(from: .socket(one.reading), to: .socket(other.writing), count: 1)
                        let tasks = (0..<8).map { _ in Task { try await runtime.perform(.splice(splice)) } }
                        try await eventually { runtime.inFlightCount == 8 }
                        #expect(try await runtime.perform(.sync(Descriptor(descriptor), .full)) == 0)
                        one.put([5])
                        var results: [Int32?] = []
                        try await eventually { runtime.inFlightCount == 7 }
                        for task in tasks { task.cancel() }
                        for task in tasks { results.append(try? await task.value) }
                        #expect(results.compactMap { $0 } == [1])
                    }
                }
            }
        }
    }

    @Test(arguments: engines)
    func registeredEndsWorkByTheirIndex(_ engine: EngineKind) async throws {
        try await withQueue(engine) { queue in
            try await Ends.with { one in
                try await Ends.with { other in
                    try queue.register(files: [one.reading, other.writing])
                    let splice = Splice(from: .registered(0), to: .registered(1), count: 10)
                    try queue.prepare(.splice(splice))
                    try queue.submit()
                    one.put([3, 4])
                    try queue.waitPatiently()
                    #expect(queue.completions().map(\.result) == [2])
                    #expect(other.get(10) == [3, 4])
                    try queue.unregisterFiles()
                }
            }
        }
    }
}
