import AIO
import CKernel
import Glibc
import Testing
import UnitSupport

/// Connections that fail, are cancelled, closed while in use, or forgotten.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct ConnectionEndTests {
    @Test(arguments: engines, SocketFamily.available)
    func nobodyListeningIsARefusal(_ engine: EngineKind, _ family: SocketFamily) async throws {
        // Bound, so that the address is not reused, but not listening.
        let silent = try boundSocket(family, CK_SOCK_STREAM)
        defer { closeDescriptor(silent) }
        let name = SocketName(of: silent)
        let address = try #require(SocketAddress(systemAddress: name.base, count: name.count.pointee))
        try await withRuntime(engine) { runtime in
            let error = await expectError(.connectionRefused) {
                try await Connection.connect(to: address, runtime: runtime)
            }
            #expect(error?.description.contains("\(address)") == true, "\(String(describing: error))")
            #expect(error?.errno?.rawValue == ECONNREFUSED)
        }
    }

    @Test(arguments: engines)
    func aMissingPathIsNotFound(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            try await withRuntime(engine) { runtime in
                let address = SocketAddress.unix(Path(scratch.path("nobody")))
                await expectError(.notFound) { try await Connection.connect(to: address, runtime: runtime) }
            }
        }
    }

    @Test(arguments: engines)
    func aResetIsTold(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            try await withConnections(.v4, runtime) { client, server in
                let read = Task { try await client.read() }
                try await eventually { runtime.inFlightCount == 1 }
                // This close discards unsent data and resets the connection.
                try server.setOption(.linger, to: .zero)
                try await server.close()
                await expectError(.connectionReset) { try await read.value }
                await expectError(.brokenPipe) { while true { try await client.writeAll([1]) } }
            }
        }
    }

    @Test(.notSimulated(.process), arguments: engines.map(\.description))
    func aBrokenPipeIsAnErrorAndNoSignal(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            Glibc.signal(SIGPIPE, SIG_DFL)
            var configuration = IORuntime.Configuration()
            configuration.engine = .forced(try #require(EngineKind(name)))
            for inline in [true, false] {
                configuration.inlineAttempts = inline
                let runtime = try IORuntime(configuration)
                let (one, other) = try Connection.pair(runtime: runtime)
                try await other.close()
                await expectError(.brokenPipe) { try await one.write([1]) }
                try await one.close()
                let (reader, writer) = try await Pipe.make(runtime: runtime)
                try await reader.close()
                await expectError(.brokenPipe) { try await writer.write([1]) }
                try await writer.close()
                await runtime.shutdown()
            }
        }
    }

    @Test(arguments: engines, [true, false])
    func aCloseEndsWhatWaits(_ engine: EngineKind, _ inline: Bool) async throws {
        try await withRuntime(engine, { $0.inlineAttempts = inline }) { runtime in
            try await withConnections(.v4, runtime) { client, server in
                _ = fillUp(client)
                let read = Task { try await client.read() }
                let write = Task { try await client.writeAll([UInt8](repeating: 1, count: 1 << 22)) }
                try await eventually { runtime.inFlightCount == 2 }
                try await client.close()
                await expectError(.fileClosed) { try await read.value }
                await expectError(.fileClosed) { try await write.value }
                await expectError(.fileClosed) { try await client.read() }
                await expectError(.fileClosed) { try await client.write([1]) }
                await expectError(.fileClosed) { try client.shutdownWrite() }
                await expectError(.fileClosed) { try client.localAddress() }
                await expectError(.fileClosed) { try await client.close() }
                while case let piece = try await server.read(), !piece.isEmpty {}
            }
        }
    }

    /// A close races with new reads. None of them hangs, and none reads from the next file with the same number.
    @Test(arguments: engines)
    func aCloseThatRacesWithReadsLeavesNoneWaiting(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            for _ in 0..<50 {
                let (one, other) = try Connection.pair(runtime: runtime)
                let reads = (0..<4).map { _ in Task { try await one.read() } }
                try await one.close()
                let (next, far) = try Connection.pair(runtime: runtime)
                try await far.writeAll([7])
                for read in reads { await expectError(.fileClosed) { try await read.value } }
                #expect(try await next.read() == [7])
                for connection in [other, next, far] { try await connection.close() }
            }
        }
    }

    @Test(arguments: engines, SocketFamily.available)
    func aCancelledReadTakesNothing(_ engine: EngineKind, _ family: SocketFamily) async throws {
        try await withRuntime(engine) { runtime in
            try await withConnections(family, runtime) { client, server in
                let read = Task { try await server.read() }
                try await eventually { runtime.inFlightCount == 1 }
                read.cancel()
                await expectError(.cancelled) { try await read.value }
                let error = await expectError(.deadlineExceeded) { try await server.read(deadline: .soon) }
                #expect(error?.errno == nil)
                try await client.writeAll([7])
                #expect(try await server.read() == [7])
            }
        }
    }

    @Test(arguments: engines)
    func aCancelledTaskTransfersNothingThatIsThere(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            try await withConnections(.v4, runtime) { client, server in
                try await client.writeAll([1])
                let read = Task {
                    while !Task.isCancelled { await Task.yield() }
                    return try await server.read()
                }
                read.cancel()
                await expectError(.cancelled) { try await read.value }
                await expectError(.deadlineExceeded) { try await server.read(deadline: .now) }
                #expect(try await server.read() == [1])
            }
        }
    }

    @Test(arguments: engines)
    func aWriteWithoutRoomEndsAtItsDeadline(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            try await withConnections(.v4, runtime) { client, _ in
                _ = fillUp(client)
                await expectError(.deadlineExceeded) { try await client.writeAll([1, 2, 3], deadline: .soon) }
                let write = Task { try await client.writeAll([UInt8](repeating: 1, count: 1 << 22)) }
                try await eventually { runtime.inFlightCount == 1 }
                write.cancel()
                await expectError(.cancelled) { try await write.value }
            }
        }
    }

    @Test(arguments: engines, SocketFamily.available)
    func aConnectThatIsGivenUpLeavesNoSocket(_ engine: EngineKind, _ family: SocketFamily) async throws {
        try await withRuntime(engine) { runtime in
            try await Listener.with(family, backlog: 0) { listener in
                let others = try listener.fillUp()
                defer { for socket in others { closeDescriptor(socket) } }
                let name = listener.name
                let address = try #require(SocketAddress(systemAddress: name.base, count: name.count.pointee))
                let connect = Task { try await Connection.connect(to: address, runtime: runtime) }
                try await eventually { runtime.inFlightCount == 1 }
                connect.cancel()
                await expectError(.cancelled) { try await connect.value }
                await expectError(.deadlineExceeded) {
                    try await Connection.connect(to: address, runtime: runtime, deadline: .soon)
                }
                try await eventually { runtime.inFlightCount == 0 }
            }
        }
    }

    @Test(.notSimulated(.process), arguments: engines.map(\.description))
    func whatIsGivenUpLeavesNoDescriptor(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            let engine = try #require(EngineKind(name))
            try await withRuntime(engine) { runtime in
                try await withListener(.v4, runtime) { listener, address in
                    let before = openDescriptors()
                    for round in 0..<40 {
                        let accept = Task { try await listener.accept() }
                        let connect = Task { try await Connection.connect(to: address, runtime: runtime) }
                        if round % 2 == 0 { accept.cancel() } else { connect.cancel() }
                        let client = try? await connect.value
                        // There is no connection to accept.
                        if client == nil { accept.cancel() }
                        let server = try? await accept.value
                        for end in [client, server] { try await end?.close() }
                        while let rest = try? await listener.accept(deadline: .soon) { try await rest.close() }
                    }
                    try await eventually { openDescriptors() == before }
                }
            }
        }
    }

    @Test(arguments: engines)
    func aForgottenConnectionIsClosedAndLogged(_ engine: EngineKind) async throws {
        let lines = LogLines()
        try await withRuntime(engine, { $0.log = { lines.append($0) } }) { runtime in
            let kept = try await keepOne(runtime)
            // The other side is closed.
            #expect(try await kept.read() == [])
            try await kept.close()
        }
        #expect(lines.all.count == 1)
        #expect(lines.all.allSatisfy { $0.contains("connection") && $0.contains("close()") }, "\(lines.all)")
    }

    private func keepOne(_ runtime: IORuntime) async throws -> Connection { try Connection.pair(runtime: runtime).0 }
}
