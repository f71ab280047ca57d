import AIO
import Testing

@testable import AIOSimulation

struct LeftoverTests {
    /// The world holds files, hosts and packets. Events that were still to come, and a loss of power that was planned,
    /// refer back to it.
    @Test(.timeLimit(.minutes(1)), arguments: [nil, 5, 1_000_000])
    func aRunIsFreed(crashBefore call: Int?) async throws {
        let seen = SeenWorld()
        var options = SimulationOptions()
        options.crash = call.map { SimulatedCrash(beforeCall: $0) }
        let ended = try await simulate(seed: 1, options: options) { simulation in
            seen.world = simulation.driver.world
            let other = try simulation.addHost("other")
            let socket = try await DatagramSocket.bind(to: SocketAddress("0.0.0.0:0"))
            try await FileSystem.replaceFile("/file", [1, 2, 3])
            // Still on its way when the simulation ends.
            try await socket.send([1], to: SocketAddress.v4(other.address, port: 9))
            try await socket.close()
        }.elapsed
        #expect(ended > 0)
        // The simulation's thread ends after the caller has the report.
        while seen.world != nil { await Task.yield() }
    }

    private final class SeenWorld: @unchecked Sendable {
        // @unchecked: the simulation's thread sets it before the test looks.
        weak var world: World?
    }
}
