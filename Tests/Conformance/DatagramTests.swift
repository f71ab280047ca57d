import AIO
import CKernel
import Glibc
import Testing

/// Datagrams arrive one by one, unchanged and with their sender.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct DatagramTests {
    private func withSockets<R>(
        _ family: SocketFamily, _ runtime: IORuntime, _ body: (DatagramSocket, DatagramSocket) async throws -> R
    ) async throws -> R {
        let one = try await DatagramSocket.bind(to: family.anyAddress, runtime: runtime)
        let other = try await DatagramSocket.bind(to: family.anyAddress, runtime: runtime)
        let result: R
        do { result = try await body(one, other) } catch {
            for socket in [one, other] { try? await socket.close() }
            throw error
        }
        for socket in [one, other] { try? await socket.close() }
        return result
    }

    @Test(arguments: engines, SocketFamily.available)
    func aDatagramArrivesWithItsSender(_ engine: EngineKind, _ family: SocketFamily) async throws {
        try await withRuntime(engine) { runtime in
            try await withSockets(family, runtime) { one, other in
                let receive = Task { try await other.receive() }
                try await eventually { runtime.inFlightCount == 1 }
                try await one.send([1, 2, 3], to: try other.localAddress())
                let (bytes, info) = try await receive.value
                #expect(bytes == [1, 2, 3])
                #expect(try info == DatagramInfo(byteCount: 3, isTruncated: false, sender: one.localAddress()))
                // An empty datagram is delivered as well.
                try await one.send([], to: try other.localAddress())
                #expect(try await other.receive().info.byteCount == 0)
            }
        }
    }

    @Test(arguments: engines)
    func aPathAndAnAbstractNameReceive(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            try await withRuntime(engine) { runtime in
                let name = Array("swift-aio-datagrams-\(scratch.folder)".utf8)
                for address in [SocketAddress.unix(Path(scratch.path("socket"))), .abstract(name)] {
                    let receiver = try await DatagramSocket.bind(to: address, runtime: runtime)
                    #expect(try receiver.localAddress() == address)
                    // The sender is unbound, so it has no address.
                    let sender = try await DatagramSocket.connect(to: address, runtime: runtime)
                    try await sender.send([1, 2])
                    let (bytes, info) = try await receiver.receive()
                    #expect(bytes == [1, 2])
                    #expect(info.sender == nil || info.sender == .unnamed)
                    for socket in [receiver, sender] { try await socket.close() }
                }
                try await Paths.unlink(Path(scratch.path("socket")), runtime: runtime)
            }
        }
    }

    @Test(arguments: engines)
    func aForgottenSocketIsClosedAndLogged(_ engine: EngineKind) async throws {
        let lines = LogLines()
        try await withRuntime(engine, { $0.log = { lines.append($0) } }) { runtime in
            let address = try await forget(runtime)
            let other = try await bindOnceFree(address, runtime)
            try await other.close()
        }
        #expect(lines.all.count == 1)
        #expect(lines.all.allSatisfy { $0.contains("datagram") && $0.contains("close()") }, "\(lines.all)")
    }

    private func forget(_ runtime: IORuntime) async throws -> SocketAddress {
        try await DatagramSocket.bind(to: .v4(.loopback, port: 0), runtime: runtime).localAddress()
    }

    private func bindOnceFree(_ address: SocketAddress, _ runtime: IORuntime) async throws -> DatagramSocket {
        while true {
            do { return try await DatagramSocket.bind(to: address, runtime: runtime) } catch {
                guard error.code == .addressInUse else { throw error }
            }
        }
    }

    @Test(arguments: engines, SocketFamily.available)
    func whatDoesNotFitIsToldAndLost(_ engine: EngineKind, _ family: SocketFamily) async throws {
        try await withRuntime(engine) { runtime in
            try await withSockets(family, runtime) { one, other in
                for bytes in [[1, 2, 3, 4, 5], [6, 7]] as [[UInt8]] {
                    try await one.send(bytes, to: try other.localAddress())
                }
                let (first, info) = try await other.receive(upTo: 2)
                #expect(first == [1, 2])
                #expect(info.isTruncated && info.byteCount == 5)
                let (second, next) = try await other.receive(upTo: 2)
                #expect(second == [6, 7])
                #expect(!next.isTruncated && next.byteCount == 2)
            }
        }
    }

    @Test(arguments: engines, SocketFamily.available)
    func aConnectedSocketHearsItsPeerAlone(_ engine: EngineKind, _ family: SocketFamily) async throws {
        try await withRuntime(engine) { runtime in
            try await withSockets(family, runtime) { one, other in
                await expectError(.notConnected) { try await one.send([0]) }
                let peer = try await DatagramSocket.connect(
                    to: try one.localAddress(), from: family.anyAddress, runtime: runtime)
                // A Unix-domain socket refuses datagrams from others; UDP drops them.
                try? await other.send([9], to: try peer.localAddress())
                try await one.connect(to: try peer.localAddress())
                try await one.send([1])
                #expect(try await peer.receive().bytes == [1])
                try await peer.send([2])
                #expect(try await one.receive().bytes == [2])
                try await peer.close()
            }
        }
    }

    @Test(arguments: engines, SocketFamily.available)
    func aReceiveIsGivenUpOrEndedByAClose(_ engine: EngineKind, _ family: SocketFamily) async throws {
        try await withRuntime(engine) { runtime in
            try await withSockets(family, runtime) { one, other in
                let receive = Task { try await other.receive() }
                try await eventually { runtime.inFlightCount == 1 }
                receive.cancel()
                await expectError(.cancelled) { try await receive.value }
                await expectError(.deadlineExceeded) { try await other.receive(deadline: .soon) }
                try await one.send([5], to: try other.localAddress())
                #expect(try await other.receive().bytes == [5])
                let last = Task { try await other.receive() }
                try await eventually { runtime.inFlightCount == 1 }
                try await other.close()
                await expectError(.fileClosed) { try await last.value }
                await expectError(.fileClosed) { try await other.send([1], to: family.anyAddress) }
            }
        }
    }

    @Test(arguments: engines)
    func aSendWaitsForRoomAtAUnixDomainReceiver(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            try await withSockets(.unix, runtime) { one, other in
                let address = try other.localAddress()
                let sent = Counter()
                let send = Task {
                    for number in UInt8(0)..<100 {
                        try await one.send([number], to: address)
                        sent.increment()
                    }
                }
                try await eventually { runtime.inFlightCount == 1 }
                #expect(sent.count < 100)
                for number in UInt8(0)..<100 { #expect(try await other.receive().bytes == [number]) }
                try await send.value
                _ = try? await one.send([1], to: address, deadline: .soon)
            }
        }
    }

    @Test(arguments: engines)
    func anErrorOfTheNetworkComesWithALaterCall(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            // Its peer is another, so the datagrams that it is sent are refused. A socket that was closed would not do:
            // a child that another test has just started has it open for a moment.
            let other = try await DatagramSocket.bind(to: .v4(.loopback, port: 0), runtime: runtime)
            let refusing = try await DatagramSocket.connect(
                to: try other.localAddress(), from: .v4(.loopback, port: 0), runtime: runtime)
            let address = try refusing.localAddress()
            let socket = try await DatagramSocket.connect(to: address, runtime: runtime)
            try await socket.send([1])
            await expectError(.connectionRefused) { try await socket.receive() }
            await expectError(.messageTooLarge) { try await socket.send([UInt8](repeating: 0, count: 70_000)) }
            for socket in [socket, refusing, other] { try await socket.close() }
        }
    }

    @Test(arguments: engines)
    func aGroupIsJoinedAndLeft(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            let socket = try await DatagramSocket.bind(to: .v4(.any, port: 0), reuseAddress: true, runtime: runtime)
            let group = SocketAddress.v4(IPv4Address(239, 1, 2, 3), port: 0)
            // The loopback interface, which every machine has.
            try socket.join(group, interface: 1)
            let again = await expectError(.addressInUse) { try socket.join(group, interface: 1) }
            #expect(again?.errno?.rawValue == EADDRINUSE)
            try socket.leave(group, interface: 1)
            await expectError(.addressNotAvailable) { try socket.leave(group, interface: 1) }
            await expectError(.invalidArgument) { try socket.join(.v4(.loopback, port: 0)) }
            try socket.setOption(.broadcast, to: true)
            #expect(try socket.option(.broadcast))
            try socket.setOption(.multicastLoop, to: false)
            #expect(try !socket.option(.multicastLoop))
            try socket.setOption(.multicastHops, to: 4)
            #expect(try socket.option(.multicastHops) == 4)
            try await socket.close()
        }
    }
}
