import AIO
import CKernel
import Glibc
import Testing
import UnitSupport

/// Connecting to hosts with several addresses, some of which do not answer.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct ConnectRaceTests {
    @Test(arguments: engines)
    func aSilentAddressHoldsUpNoOther(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            try await withSilent { silent in
                try await withListener(.v4, runtime) { listener, address in
                    let connection = try await Connection.connect(
                        toAnyOf: [silent, silent, address, silent], attemptDelay: .milliseconds(2), runtime: runtime)
                    #expect(connection.remoteAddress == address)
                    try await eventually { runtime.inFlightCount == 0 }
                    try await connection.close()
                    try await listener.accept().close()
                }
            }
        }
    }

    /// Without waiting for the attempt delay.
    @Test(arguments: engines)
    func aRefusalMakesRoomForTheNextAtOnce(_ engine: EngineKind) async throws {
        let closed = try boundSocket(.v4, CK_SOCK_STREAM)
        defer { closeDescriptor(closed) }
        let name = SocketName(of: closed)
        let refusing = try #require(SocketAddress(systemAddress: name.base, count: name.count.pointee))
        try await withRuntime(engine) { runtime in
            try await withListener(.v4, runtime) { listener, address in
                let connection = try await Connection.connect(
                    toAnyOf: [refusing, refusing, address], attemptDelay: .seconds(3600), runtime: runtime)
                #expect(connection.remoteAddress == address)
                try await connection.close()
            }
            let error = await expectError(.connectionRefused) {
                try await Connection.connect(toAnyOf: [refusing, refusing], runtime: runtime)
            }
            #expect(error?.description.contains("\(refusing)") == true)
        }
    }

    @Test(.notSimulated(.process), arguments: engines.map(\.description))
    func attemptsThatDoNotWinLeaveNoSocket(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            let engine = try #require(EngineKind(name))
            try await withRuntime(engine) { runtime in
                try await withSilent { silent in
                    try await withListener(.v4, runtime) { listener, address in
                        let before = openDescriptors()
                        for round in 0..<20 {
                            // Of two connections that succeed at nearly the same time, one is kept.
                            let targets = round % 2 == 0 ? [silent, address] : [address, address, address]
                            let connection = try await Connection.connect(
                                toAnyOf: targets, attemptDelay: .zero, runtime: runtime)
                            try await connection.close()
                            while let other = try? await listener.accept(deadline: .soon) { try await other.close() }
                        }
                        let connect = Task {
                            try await Connection.connect(
                                toAnyOf: [silent, silent], attemptDelay: .zero, runtime: runtime)
                        }
                        try await eventually { runtime.inFlightCount == 2 }
                        connect.cancel()
                        await expectError(.cancelled) { try await connect.value }
                        await expectError(.deadlineExceeded) {
                            try await Connection.connect(toAnyOf: [silent, silent], runtime: runtime, deadline: .soon)
                        }
                        try await eventually { openDescriptors() == before }
                    }
                }
            }
        }
    }

    @Test func withoutAnAddressThereIsNothingToConnectTo() async {
        await expectError(.invalidArgument) { try await Connection.connect(toAnyOf: []) }
    }
}

/// An address that does not answer: that of a listener with a full backlog.
private func withSilent(_ body: (SocketAddress) async throws -> Void) async throws {
    try await Listener.with(.v4, backlog: 0) { listener in
        let others = try listener.fillUp()
        defer { for socket in others { closeDescriptor(socket) } }
        let name = listener.name
        try await body(try #require(SocketAddress(systemAddress: name.base, count: name.count.pointee)))
    }
}
