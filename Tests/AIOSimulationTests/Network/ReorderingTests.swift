import AIO
import AIOCore
import AIOSimulation
import Testing

/// Links that change the order of what they carry, or carry it twice.
struct ReorderingTests {
    /// Runs the body twice, and checks that both runs are the same.
    private func run<Value: Sendable>(
        _ seed: UInt64, _ body: @escaping @Sendable (Simulation) async throws -> Value
    ) async throws -> Value {
        let report = try await simulate(seed: seed, body)
        let other = try await simulate(seed: seed, body)
        #expect(report.traceHash == other.traceHash)
        return try report.result.get()
    }

    /// Sends numbers as datagrams, a millisecond apart, and returns what arrives.
    private func datagrams(
        _ seed: UInt64, _ count: UInt8, _ change: @escaping @Sendable (Simulation, Simulation.Host) -> Void
    ) async throws -> [UInt8] {
        try await run(seed) { simulation in
            let receiver = try simulation.addHost("receiver")
            change(simulation, receiver)
            let receiving = Task {
                try await receiver.run {
                    let socket = try await DatagramSocket.bind(to: .v4(.any, port: 53))
                    var received: [UInt8] = []
                    while let datagram = try? await socket.receive(upTo: 10, deadline: .after(.seconds(1))) {
                        received += datagram.bytes
                    }
                    try await socket.close()
                    return received
                }
            }
            let address = SocketAddress.v4(receiver.address, port: 53)
            let socket = try await DatagramSocket.connect(to: address)
            for number in 0..<count {
                try await Task.sleep(for: .milliseconds(1))
                _ = try await socket.send([number])
            }
            try await socket.close()
            return try await receiving.value
        }
    }

    @Test(arguments: UInt64(1)...5) func heldUpDatagramsAreOvertaken(seed: UInt64) async throws {
        let received = try await datagrams(seed, 100) { $0.setLink($0.host, $1, reordering: 0.2) }
        #expect(received.sorted() == Array(0..<100) && received != received.sorted())
        let inOrder = try await datagrams(seed, 100) { $0.setLink($0.host, $1) }
        #expect(inOrder == Array(0..<100))
    }

    @Test(arguments: UInt64(1)...5) func aPartOfTheDatagramsArrivesTwice(seed: UInt64) async throws {
        let received = try await datagrams(seed, 100) { $0.setLink($0.host, $1, duplication: 0.2) }
        #expect(Set(received) == Set(0..<100) && (105...140).contains(received.count))
        let all = try await datagrams(seed, 100) { $0.setLink($0.host, $1, duplication: 1) }
        #expect(all.sorted() == (0..<100).flatMap { [$0, $0] })
    }

    /// What two connections carry at the same time is mixed in other orders; each by itself stays in order.
    @Test func connectionsOvertakeEachOtherAndEachKeepsItsOrder() async throws {
        var orders: Set<[UInt8]> = []
        for seed in UInt64(1)...10 {
            let arrived = try await run(seed) { simulation in
                let server = try simulation.addHost("server")
                simulation.setLink(simulation.host, server, reordering: 0.3, duplication: 0.3)
                let serving = Task { try await server.run { try await Self.receiveFromTwo() } }
                let ends = [
                    try await Connection.connect(toHost: "server", port: 80),
                    try await Connection.connect(toHost: "server", port: 80),
                ]
                for number in 0..<20 as Range<UInt8> {
                    for (index, end) in ends.enumerated() {
                        try await end.writeAll([UInt8(index) * 100 + number])
                        try await Task.sleep(for: .microseconds(300))
                    }
                }
                for end in ends { try await end.close() }
                return try await serving.value
            }
            #expect(arrived.filter { $0 < 100 } == Array(0..<20))
            #expect(arrived.filter { $0 >= 100 } == Array(100..<120))
            orders.insert(arrived)
        }
        #expect(orders.count > 5)
    }

    /// The bytes of two connections, in the order of their arrival.
    private static func receiveFromTwo() async throws -> [UInt8] {
        actor Arrivals {
            var bytes: [UInt8] = []
            func add(_ new: [UInt8]) { bytes += new }
        }
        let arrivals = Arrivals()
        let listener = try await Listener.listen(on: .v4(.any, port: 80))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<2 {
                let connection = try await listener.accept()
                group.addTask {
                    while true {
                        let bytes = try await connection.read(upTo: 1)
                        guard !bytes.isEmpty else { break }
                        await arrivals.add(bytes)
                    }
                    try await connection.close()
                }
            }
            try await group.waitForAll()
        }
        try await listener.close()
        return await arrivals.bytes
    }
}
