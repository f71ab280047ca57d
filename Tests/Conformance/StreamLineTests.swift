import AIO
import Glibc
import Testing
import UnitSupport

/// Lines and pieces from connections and pipes, which arrive in arbitrary parts.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct StreamLineTests {
    @Test(arguments: engines, SocketFamily.available)
    func aLineIsToldWhenItsEndHasCome(_ engine: EngineKind, _ family: SocketFamily) async throws {
        try await withRuntime(engine) { runtime in
            try await withConnections(family, runtime) { client, server in
                var lines = server.lines().makeAsyncIterator()
                for (piece, told) in [("one\ntw", ["one"]), ("o\r\n", ["two"]), ("\n\nfive\n", ["", "", "five"])] {
                    try await client.writeAll(piece)
                    for line in told { #expect(try await lines.next() == line) }
                }
                try await client.writeAll("last")
                try client.shutdownWrite()
                #expect(try await lines.next() == "last")
                #expect(try await lines.next() == nil)
                #expect(try await lines.next() == nil)
            }
            #expect(runtime.bufferBytesInUse == 0)
        }
    }

    @Test(arguments: engines)
    func aLineBeyondTheLimitEndsTheSequence(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            try await withConnections(.v4, runtime) { client, server in
                var lines = server.byteLines(limit: 1000).makeAsyncIterator()
                let long = [UInt8](repeating: 97, count: 1000)
                try await client.writeAll(long + [10])
                #expect(try await lines.next() == long)
                // The line is too long before its end arrives, so the reader does not wait for it.
                try await client.writeAll(long + [97, 97])
                await expectError(.lineTooLong) { try await lines.next() }
                #expect(try await lines.next() == nil)
            }
        }
    }

    @Test(arguments: engines)
    func aDeadlineEndsTheWholeSequence(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            try await withConnections(.v4, runtime) { client, server in
                try await server.writeAll("one\n")
                let deadline = Deadline.soon
                var lines = client.lines(deadline: deadline).makeAsyncIterator()
                await expectError(.deadlineExceeded) { while try await lines.next() != nil {} }
                #expect(deadline.hasPassed)
                #expect(try await lines.next() == nil)
            }
            #expect(runtime.bufferBytesInUse == 0)
        }
    }

    @Test(arguments: engines)
    func aWaitForALineEndsWithACancelOrAClose(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            try await withConnections(.v4, runtime) { client, server in
                for isClosed in [false, true] {
                    let wait = Task {
                        var lines = client.lines().makeAsyncIterator()
                        return try await lines.next()
                    }
                    try await eventually { runtime.inFlightCount == 1 }
                    if isClosed { try await client.close() } else { wait.cancel() }
                    await expectError(isClosed ? .fileClosed : .cancelled) { try await wait.value }
                }
                withExtendedLifetime(server) {}
            }
            #expect(runtime.bufferBytesInUse == 0)
        }
    }

    @Test(arguments: engines)
    func aReaderTakesAMessageApart(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            try await withConnections(.v4, runtime) { client, server in
                let body = KnownContent(seed: 3).bytes(count: 300_000, at: 0)
                let sent = Task { try await client.writeAll(Array("PUT 300000\r\n\r\n".utf8) + body + [1, 2, 3]) }
                let reader = try BufferedReader(server)
                #expect(try await reader.read(until: 10) == Array("PUT 300000\r\n".utf8))
                #expect(try await reader.peek(upTo: 2) == [13, 10])
                #expect(try await reader.skip(2) == 2)
                #expect(try await reader.readExactly(count: 300_000) == body)
                #expect(reader.position == 300_014)
                try await sent.value
                #expect(try await reader.readExactly(count: 2) == [1, 2])
                #expect(try await reader.peek(upTo: reader.bufferedCount) == [3])
                await expectError(.deadlineExceeded) { try await reader.readExactly(count: 2, deadline: .soon) }
                await expectError(.deadlineExceeded) { try await reader.read(until: 9, deadline: .soon) }
                await expectError(.deadlineExceeded) { try await reader.skip(5, deadline: .soon) }
                try client.shutdownWrite()
                // The bytes that the skip had consumed are gone.
                #expect(try await reader.read(upTo: 5) == [])
            }
            #expect(runtime.bufferBytesInUse == 0)
        }
    }

    /// A count larger than a reader's buffer can be; if the stream ends first, the bytes before its end are consumed.
    @Test(arguments: engines)
    func anExactReadPastTheBufferIsWholeOrFails(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            try await withConnections(.unix, runtime) { client, server in
                let count = (16 << 20) + 5
                let sent = Task {
                    try await client.writeAll([UInt8](repeating: 5, count: count + 3))
                    try client.shutdownWrite()
                }
                let reader = try BufferedReader(server)
                #expect(try await reader.readExactly(count: count) == [UInt8](repeating: 5, count: count))
                try await sent.value
                await expectError(.unexpectedEndOfFile) { try await reader.readExactly(count: count) }
            }
        }
    }

    @Test(arguments: engines)
    func aWriterGathersAndWaitsForWhoReads(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            let (reader, writer) = try await Pipe.make(runtime: runtime)
            let content = KnownContent(seed: 4)
            let total = 1 << 20
            let received = Task { try await reader.readToEnd() }
            let gathering = try BufferedWriter(writer, bufferSize: 10_000, inFlightLimit: 20_000)
            var random = SplitMix(9)
            while gathering.position < total {
                let count = min(Int.random(in: 1...5000, using: &random), total - Int(gathering.position))
                try await gathering.write(content.bytes(count: count, at: gathering.position))
            }
            await expectError(.notSupported) { try await gathering.flush(sync: .data) }
            try await gathering.close()
            try await writer.close()
            let got = try await received.value
            #expect(got.count == total && content.mismatch(got, at: 0) == nil)
            try await reader.close()
            #expect(runtime.bufferBytesInUse == 0)
        }
    }

    @Test(arguments: engines)
    func aWriterTellsOfAnEndThatNobodyReads(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            try await withConnections(.unix, runtime) { client, server in
                try await server.close()
                let writer = try BufferedWriter(client, bufferSize: 10)
                try await writer.write([1])
                await expectError(.brokenPipe) { try await writer.flush() }
                await expectError(.brokenPipe) { try await writer.write([1]) }
            }
        }
    }
}
