import AIO
import CKernel
import Glibc
import Testing
import UnitSupport

/// Listeners: addresses, accepting, and failures of accept.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct ListenerTests {
    @Test(arguments: engines)
    func theKernelChoosesThePort(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            try await withListener(.v4, runtime) { listener, address in
                #expect(address.port ?? 0 > 0)
                let other = Task { try await AIO.Listener.listen(on: address, runtime: runtime) }
                let error = await expectError(.addressInUse) { try await other.value }
                #expect(error?.description.contains("\(address)") == true)
            }
        }
    }

    @Test(arguments: engines)
    func anAddressOfAnotherMachineIsNotAvailable(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            let elsewhere = try SocketAddress("192.0.2.1:0")
            await expectError(.addressNotAvailable) { try await AIO.Listener.listen(on: elsewhere, runtime: runtime) }
        }
    }

    @Test(arguments: engines)
    func severalListenersShareAPort(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            let one = try await AIO.Listener.listen(on: .v4(.loopback, port: 0), reusePort: true, runtime: runtime)
            let address = try one.localAddress()
            let other = try await AIO.Listener.listen(on: address, reusePort: true, runtime: runtime)
            #expect(try other.localAddress() == address)
            try await one.close()
            let client = try await Connection.connect(to: address, runtime: runtime)
            let server = try await other.accept()
            for end in [client, server] { try await end.close() }
            try await other.close()
        }
    }

    @Test(arguments: engines)
    func aPathAndAnAbstractNameAreListenedOn(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            try await withRuntime(engine) { runtime in
                let name = Array("swift-aio-\(scratch.folder)-\(engine)".utf8)
                for address in [SocketAddress.unix(Path(scratch.path("socket"))), .abstract(name)] {
                    let listener = try await AIO.Listener.listen(on: address, runtime: runtime)
                    #expect(try listener.localAddress() == address)
                    await expectError(.addressInUse) { try await AIO.Listener.listen(on: address, runtime: runtime) }
                    let client = try await Connection.connect(to: address, from: .unnamed, runtime: runtime)
                    let server = try await listener.accept()
                    #expect(try server.remoteAddress == client.localAddress())
                    try await client.writeAll([1])
                    #expect(try await server.read() == [1])
                    for end in [client, server] { try await end.close() }
                    try await listener.close()
                }
            }
        }
    }

    @Test(arguments: engines, SocketFamily.available)
    func anAcceptWaitsAndIsGivenUpWithoutLosingAConnection(_ engine: EngineKind, _ family: SocketFamily) async throws {
        try await withRuntime(engine) { runtime in
            try await withListener(family, runtime) { listener, address in
                let accept = Task { try await listener.accept() }
                try await eventually { runtime.inFlightCount == 1 }
                accept.cancel()
                await expectError(.cancelled) { try await accept.value }
                await expectError(.deadlineExceeded) { try await listener.accept(deadline: .soon) }
                let client = try await Connection.connect(to: address, runtime: runtime)
                let server = try await listener.accept()
                try await client.close()
                #expect(try await server.read() == [])
                try await server.close()
            }
        }
    }

    @Test(arguments: engines, SocketFamily.available)
    func aCloseEndsAcceptsAndTheSequence(_ engine: EngineKind, _ family: SocketFamily) async throws {
        try await withRuntime(engine) { runtime in
            try await withListener(family, runtime) { listener, address in
                let served = Counter()
                let serve = Task {
                    for try await connection in listener.connections {
                        served.increment()
                        try await connection.close()
                    }
                }
                for _ in 0..<5 {
                    let client = try await Connection.connect(to: address, runtime: runtime)
                    #expect(try await client.read() == [])
                    try await client.close()
                }
                try await eventually { runtime.inFlightCount == 1 }
                let accept = Task { try await listener.accept() }
                try await eventually { runtime.inFlightCount == 2 }
                try await listener.close()
                await expectError(.fileClosed) { try await accept.value }
                try await serve.value
                #expect(served.count == 5)
                try await expectRefusal(at: address, runtime)
            }
        }
    }

    /// Expects that nobody listens any more. A child that another test has just started has what was closed open until
    /// its exec.
    private func expectRefusal(at address: SocketAddress, _ runtime: IORuntime) async throws {
        while true {
            do throws(IOError) {
                let connection = try await Connection.connect(to: address, runtime: runtime)
                try await connection.close()
            } catch {
                return #expect(error.code == .connectionRefused, "\(error)")
            }
        }
    }

    @Test(arguments: engines)
    func aLoopThatIsLeftLosesNoConnection(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            try await withListener(.v4, runtime) { listener, address in
                for _ in 0..<3 {
                    let clients = [
                        try await Connection.connect(to: address, runtime: runtime),
                        try await Connection.connect(to: address, runtime: runtime),
                    ]
                    // The second connection waits for the next `for` loop: none is accepted ahead.
                    for client in clients {
                        for try await connection in listener.connections {
                            #expect(try connection.remoteAddress == client.localAddress())
                            try await connection.close()
                            break
                        }
                    }
                    for client in clients { try await client.close() }
                }
                let serve = Task { for try await _ in listener.connections {} }
                try await eventually { runtime.inFlightCount == 1 }
                serve.cancel()
                try await serve.value
                // The listener is still there for others.
                let client = try await Connection.connect(to: address, runtime: runtime)
                try await listener.accept().close()
                try await client.close()
                // A cancel of the operation, and not of the task, is no end.
                let another = Task { for try await _ in listener.connections {} }
                try await eventually { runtime.inFlightCount == 1 }
                try await runtime.requestCancelAll()
                await expectError(.cancelled) { try await another.value }
            }
        }
    }

    @Test(.notSimulated(.process), arguments: engines.map(\.description))
    func withoutDescriptorsAnAcceptFails(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            try await withRuntime(try #require(EngineKind(name))) { runtime in
                try await withListener(.v4, runtime) { listener, address in
                    var error: IOError?
                    // If another thread of the process closes a descriptor, the accept has its connection.
                    while error == nil {
                        try await withWaitingClient(address, runtime) { _ in
                            do { try await listener.accept().close() } catch let failure as IOError { error = failure }
                        }
                    }
                    #expect(error?.code == .tooManyOpenFiles)
                }
            }
        }
    }

    @Test(.notSimulated(.process), arguments: engines.map(\.description))
    func withoutDescriptorsConnectionsWaitAndAreAcceptedLater(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            let engine = try #require(EngineKind(name))
            let lines = LogLines()
            try await withRuntime(engine, { $0.log = { lines.append($0) } }) { runtime in
                try await withListener(.v4, runtime) { listener, address in
                    // If another thread of the process closes a descriptor, the accept has its connection at once.
                    while lines.all.isEmpty {
                        try await withWaitingClient(address, runtime) { held in
                            let isServed = Flag()
                            let serve = Task {
                                defer { isServed.set() }
                                var iterator = listener.connections.makeAsyncIterator()
                                return try await iterator.next()
                            }
                            // The log says what the accept waits for.
                            try await eventually { !lines.all.isEmpty || isServed.isSet }
                            closeAll(&held)
                            try await serve.value?.close()
                        }
                    }
                    #expect(lines.all.allSatisfy { $0.contains("RLIMIT_NOFILE") }, "\(lines.all)")
                }
            }
        }
    }

    @Test(arguments: engines)
    func aForgottenListenerIsClosedAndLogged(_ engine: EngineKind) async throws {
        let lines = LogLines()
        try await withRuntime(engine, { $0.log = { lines.append($0) } }) { runtime in
            let address = try await forget(runtime)
            // Until the background close is done, connects succeed.
            while let client = try? await Connection.connect(to: address, runtime: runtime) { try await client.close() }
        }
        #expect(lines.all.count == 1)
        #expect(lines.all.allSatisfy { $0.contains("listener") && $0.contains("close()") }, "\(lines.all)")
    }

    private func forget(_ runtime: IORuntime) async throws -> SocketAddress {
        try await AIO.Listener.listen(on: .v4(.loopback, port: 0), runtime: runtime).localAddress()
    }

    // MARK: Names and options

    @Test(arguments: engines)
    func aHostIsFoundByNameAndConnectedTo(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            let found = try await SocketAddress.resolve("localhost", port: 7, runtime: runtime)
            #expect(found.contains(.v4(.loopback, port: 7)) || found.contains(.v6(.loopback, port: 7)))
            #expect(Set(found).count == found.count)
            for (host, text) in [("1.2.3.4", "1.2.3.4:5"), ("::1", "[::1]:5")] {
                let digits = try await SocketAddress.resolve(host, port: 5, runtime: runtime)
                #expect(digits.map(\.description) == [text])
            }
            // If the name has no IPv4 address the listener is not reached; one of several addresses is enough.
            try await withListener(.v4, runtime) { listener, address in
                let port = try #require(address.port)
                let client = try await Connection.connect(
                    toHost: found.contains(.v4(.loopback, port: 7)) ? "localhost" : "127.0.0.1", port: port,
                    runtime: runtime)
                let server = try await listener.accept()
                for end in [client, server] { try await end.close() }
            }
        }
    }

    @Test(arguments: engines)
    func aHostThatRefusesIsToldOfByItsLastAddress(_ engine: EngineKind) async throws {
        // Bound, so that the port is not reused, but not listening.
        let silent = try boundSocket(.v4, CK_SOCK_STREAM)
        defer { closeDescriptor(silent) }
        let name = SocketName(of: silent)
        let address = try #require(SocketAddress(systemAddress: name.base, count: name.count.pointee))
        let port = try #require(address.port)
        try await withRuntime(engine) { runtime in
            for host in ["127.0.0.1", "localhost"] {
                await expectError(.connectionRefused, or: .addressNotAvailable) {
                    try await Connection.connect(
                        toHost: host, port: port, runtime: runtime, deadline: .after(.seconds(60)))
                }
            }
        }
    }

    @Test(arguments: engines)
    func aNameThatThereIsNotIsAnError(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            do {
                let found = try await SocketAddress.resolve("nobody.invalid", port: 1, runtime: runtime)
                Issue.record("\(found)")
            } catch let error as IOError {
                // Without name servers the name is undecided.
                #expect(error.code == .nameNotFound || error.code == .nameLookupFailed)
                #expect(error.description.contains("nobody.invalid"))
            }
            await expectError(.invalidArgument) { try await SocketAddress.resolve("", port: 1, runtime: runtime) }
            await expectError(.invalidArgument) { try await SocketAddress.resolve("a\0b", port: 1, runtime: runtime) }
        }
    }

    @Test(arguments: engines)
    func aLookupIsGivenUp(_ engine: EngineKind) async throws {
        try await withRuntime(engine, { $0.workerLimit = 4 }) { runtime in
            let lookups = (0..<8).map { number in
                Task { try await SocketAddress.resolve("nobody-\(number).invalid", port: 1, runtime: runtime) }
            }
            for lookup in lookups { lookup.cancel() }
            for lookup in lookups {
                do { _ = try await lookup.value } catch let error as IOError {
                    #expect([.cancelled, .nameNotFound, .nameLookupFailed].contains(error.code), "\(error)")
                }
            }
            await expectError(.deadlineExceeded) {
                try await SocketAddress.resolve("nobody.invalid", port: 1, runtime: runtime, deadline: .now)
            }
            // The lookups that were given up do not delay others.
            _ = try await SocketAddress.resolve("localhost", port: 1, runtime: runtime)
        }
    }

    @Test(arguments: engines)
    func optionsAreSetAndRead(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            try await withConnections(.v4, runtime) { client, server in
                for option in [SocketOption<Bool>.noDelay, .keepAlive, .reuseAddress] {
                    for value in [true, false] {
                        try client.setOption(option, to: value)
                        #expect(try client.option(option) == value)
                    }
                }
                try client.setOption(.keepAliveIdle, to: .seconds(11))
                #expect(try client.option(.keepAliveIdle) == .seconds(11))
                try client.setOption(.keepAliveInterval, to: .milliseconds(1500))
                #expect(try client.option(.keepAliveInterval) == .seconds(2))
                try client.setOption(.keepAliveCount, to: 3)
                #expect(try client.option(.keepAliveCount) == 3)
                try client.setOption(.userTimeout, to: .milliseconds(1234))
                #expect(try client.option(.userTimeout) == .milliseconds(1234))
                try client.setOption(.sendBufferSize, to: 20_000)
                #expect(try client.option(.sendBufferSize) >= 20_000)
                try client.setOption(.linger, to: .seconds(3))
                #expect(try client.option(.linger) == .seconds(3))
                try client.setOption(.linger, to: nil)
                #expect(try client.option(.linger) == nil)
                let raw = try client.rawOption(level: CK_SOL_SOCKET, name: CK_SO_KEEPALIVE)
                #expect(raw == [0, 0, 0, 0])
                await expectError(.invalidArgument) { try client.setOption(.keepAliveCount, to: 1 << 40) }
                await expectError(.invalidArgument) { try client.setOption(.keepAliveCount, to: 0) }
                let error = await expectError(.other) { try client.setRawOption(level: 1, name: 9999, to: raw) }
                #expect(error?.errno?.rawValue == ENOPROTOOPT)
            }
        }
    }
}

/// For exit tests: runs `body` with a connection that waits to be accepted, and with the descriptors that were opened
/// until none was free.
private func withWaitingClient(
    _ address: SocketAddress, _ runtime: IORuntime, _ body: (inout [Int32]) async throws -> Void
) async throws {
    let client = try await Connection.connect(to: address, runtime: runtime)
    var held = try Limits.useUpDescriptors()
    do { try await body(&held) } catch {
        closeAll(&held)
        throw error
    }
    closeAll(&held)
    try await client.close()
}

private func closeAll(_ descriptors: inout [Int32]) {
    for descriptor in descriptors { closeDescriptor(descriptor) }
    descriptors = []
}
