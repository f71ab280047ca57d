import AIO
import CKernel
import Glibc
import Testing
import UnitSupport

/// Connections between two sides: data arrive, and the end of one side is seen by the other.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct ConnectionTests {
    @Test(arguments: engines, SocketFamily.available)
    func whatIsWrittenIsReadAndThenTheEnd(_ engine: EngineKind, _ family: SocketFamily) async throws {
        try await withRuntime(engine) { runtime in
            try await withConnections(family, runtime) { client, server in
                let written = try await client.write([1, 2, 3])
                #expect(written == 3)
                #expect(try await server.read() == [1, 2, 3])
                try await client.close()
                #expect(try await server.read() == [])
                #expect(try await server.read() == [])
            }
        }
    }

    @Test(arguments: engines)
    func withoutFirstAttemptsEverythingGoesThroughTheLoop(_ engine: EngineKind) async throws {
        try await withRuntime(engine, { $0.inlineAttempts = false }) { runtime in
            try await withConnections(.v4, runtime) { client, server in
                for byte in UInt8(0)..<20 {
                    try await client.writeAll([byte])
                    #expect(try await server.readExactly(count: 1) == [byte])
                }
                try client.shutdownWrite()
                #expect(try await server.read() == [])
            }
        }
    }

    @Test(arguments: engines, SocketFamily.available)
    func aHalfClosedConnectionStillCarriesTheOtherDirection(_ engine: EngineKind, _ family: SocketFamily) async throws {
        try await withRuntime(engine) { runtime in
            try await withConnections(family, runtime) { client, server in
                try await client.writeAll([1])
                try client.shutdownWrite()
                #expect(try await server.readToEnd() == [1])
                await expectError(.brokenPipe) { try await client.write([2]) }
                try await server.writeAll([3, 4])
                #expect(try await client.readExactly(count: 2) == [3, 4])
                try server.shutdownWrite()
                #expect(try await client.readToEnd() == [])
            }
        }
    }

    @Test(arguments: engines, SocketFamily.available)
    func aReadWaitsForWhatComes(_ engine: EngineKind, _ family: SocketFamily) async throws {
        try await withRuntime(engine) { runtime in
            try await withConnections(family, runtime) { client, server in
                let read = Task { try await server.read() }
                try await eventually { runtime.inFlightCount == 1 }
                try await client.writeAll([9])
                #expect(try await read.value == [9])
                let end = Task { try await server.read() }
                try await eventually { runtime.inFlightCount == 1 }
                try client.shutdownWrite()
                #expect(try await end.value == [])
            }
        }
    }

    @Test(arguments: engines)
    func nothingAskedForIsNoEnd(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            try await withConnections(.v4, runtime) { client, server in
                #expect(try await server.read(upTo: 0) == [])
                #expect(try await server.readExactly(count: 0) == [])
                let written = try await client.write([])
                #expect(written == 0)
                await expectError(.invalidArgument) { try await server.read(upTo: -1) }
            }
        }
    }

    @Test(arguments: engines)
    func aStreamThatEndsEarlyIsNoExactRead(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            try await withConnections(.v4, runtime) { client, server in
                try await client.writeAll([1, 2])
                try client.shutdownWrite()
                await expectError(.unexpectedEndOfFile) { try await server.readExactly(count: 3) }
            }
        }
    }

    @Test(arguments: engines, SocketFamily.available)
    func aSlowReaderHoldsTheWriterBackAndNothingIsLost(_ engine: EngineKind, _ family: SocketFamily) async throws {
        let content = KnownContent(seed: 5)
        let size = 3 << 20
        try await withRuntime(engine) { runtime in
            try await withConnections(family, runtime) { client, server in
                // The buffers have much less room than there is to write.
                try client.setOption(.sendBufferSize, to: 100_000)
                try server.setOption(.receiveBufferSize, to: 100_000)
                let isWritten = Flag()
                let write = Task {
                    var done = 0
                    while done < size {
                        let count = min(1 << 20, size - done)
                        try await client.writeAll(content.bytes(count: count, at: Int64(done)))
                        done += count
                    }
                    try client.shutdownWrite()
                    isWritten.set()
                }
                // The writer waits, since not all data fit.
                try await eventually { runtime.inFlightCount == 1 }
                #expect(!isWritten.isSet)
                var done = 0
                while case let piece = try await server.read(upTo: 300_000), !piece.isEmpty {
                    #expect(content.mismatch(piece, at: Int64(done)) == nil)
                    done += piece.count
                }
                #expect(done == size)
                try await write.value
            }
        }
    }

    @Test(arguments: engines)
    func twoTasksReadAndWriteAtTheSameTimeOnBothSides(_ engine: EngineKind) async throws {
        let size = 2 << 20
        try await withRuntime(engine) { runtime in
            try await withConnections(.v4, runtime) { client, server in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for (index, side) in [client, server].enumerated() {
                        let (sent, received) = (
                            KnownContent(seed: UInt64(index)), KnownContent(seed: UInt64(1 - index))
                        )
                        group.addTask {
                            try await side.writeAll(sent.bytes(count: size, at: 0))
                            try side.shutdownWrite()
                        }
                        group.addTask {
                            let all = try await side.readToEnd()
                            #expect(all.count == size && received.mismatch(all, at: 0) == nil)
                        }
                    }
                    try await group.waitForAll()
                }
            }
        }
    }

    @Test(arguments: engines)
    func aThousandConnectionsWaitAtOnce(_ engine: EngineKind) async throws {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(UInt32(CK_RLIMIT_NOFILE)), &limit)
        guard limit.rlim_cur >= 4096 else {
            try Test.cancel("\(skipped("this process may have \(limit.rlim_cur) descriptors"))")
        }
        try await withRuntime(engine, { $0.queueDepth = 4 }) { runtime in
            try await withListener(.v4, runtime) { listener, address in
                try await echoThousandfold(listener, address, runtime)
            }
        }
    }

    private func echoThousandfold(_ listener: AIO.Listener, _ address: SocketAddress, _ runtime: IORuntime) async throws
    {
        let count = 1000
        let echoes = Task {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<count {
                    let connection = try await listener.accept()
                    group.addTask {
                        while case let piece = try await connection.read(), !piece.isEmpty {
                            try await connection.writeAll(piece)
                        }
                        try await connection.close()
                    }
                }
                try await group.waitForAll()
            }
        }
        var clients: [Connection] = []
        for _ in 0..<count { clients.append(try await Connection.connect(to: address, runtime: runtime)) }
        // Every connection is accepted, and waits for a message to echo.
        try await eventually { runtime.inFlightCount == count }
        for (index, client) in clients.enumerated() { try await client.writeAll([UInt8(index & 255)]) }
        for (index, client) in clients.enumerated() {
            #expect(try await client.readExactly(count: 1) == [UInt8(index & 255)])
        }
        for client in clients { try await client.close() }
        try await echoes.value
    }

    @Test(arguments: engines)
    func aPairIsConnected(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            let (one, other) = try Connection.pair(runtime: runtime)
            try await one.writeAll("to the other")
            #expect(try await other.read() == Array("to the other".utf8))
            try await other.writeAll([1])
            #expect(try await one.read() == [1])
            try await one.close()
            #expect(try await other.read() == [])
            try await other.close()
        }
    }

    @Test(arguments: engines, SocketFamily.available)
    func addressesOfBothSidesMatch(_ engine: EngineKind, _ family: SocketFamily) async throws {
        try await withRuntime(engine) { runtime in
            try await withConnections(family, runtime) { client, server in
                #expect(try client.localAddress() == server.remoteAddress)
                #expect(try server.localAddress() == client.remoteAddress)
                let adopted = Connection(adopting: dup(client.descriptor.number), runtime: runtime)
                #expect(adopted.remoteAddress == client.remoteAddress)
                try await adopted.close()
            }
        }
    }
}
