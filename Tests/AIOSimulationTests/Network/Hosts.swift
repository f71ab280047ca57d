import AIO
import AIOCore
import CKernel

@testable import AIOSimulation

/// Two hosts of a world, and the calls that their programs make.
struct Hosts {
    let world: World
    let kernels: [SimulatedKernel]
    let callers: [Caller]

    init(seed: UInt64, _ count: Int = 2) {
        world = World(seed: seed)
        let world = world
        kernels = (0..<count).map { SimulatedKernel(host: "host\($0)", in: world) }
        callers = kernels.map { Caller.simulated($0) }
        // Each has its address from the first call on.
        for kernel in kernels { _ = kernel.node }
    }

    var network: SimulatedNetwork { world.network }
    func node(_ index: Int) -> NetworkHost { kernels[index].node }
    func address(_ index: Int, _ port: UInt16) -> SocketAddress {
        .v4(node(index).addresses[0].v4, port: port)
    }

    /// Lets events happen until a condition holds. False if there are no more, or after `limit` of virtual time.
    func run(_ limit: Nanoseconds = 3600_000_000_000, until condition: () -> Bool) -> Bool {
        let end = world.now + limit
        while !condition() {
            guard world.nextEvent <= end else { return false }
            world.runNextEvent()
        }
        return true
    }

    /// Lets all events of a time happen.
    func run(for time: Nanoseconds) {
        let end = world.now + time
        while world.nextEvent <= end { world.runNextEvent() }
        world.advance(to: end)
    }

    func isReadable(_ index: Int, _ number: Int) -> Bool { callers[index].events(number) & Int(CK_POLLIN) != 0 }

    /// A listener of host 1 on port 80.
    func listener(backlog: Int = 16) -> Int {
        let number = callers[1].socket(CK_AF_INET, CK_SOCK_STREAM)
        _ = callers[1].bind(number, .v4(.any, port: 80))
        _ = callers[1].listen(number, backlog)
        return number
    }

    /// A connection from host 0 to host 1; nil if none comes about.
    func connection() -> (client: Int, server: Int)? {
        let listener = listener()
        defer { callers[1].close(listener) }
        let client = callers[0].socket(CK_AF_INET, CK_SOCK_STREAM)
        guard callers[0].connect(client, address(1, 80)) == -Int(EINPROGRESS) else { return nil }
        guard run(until: { isReadable(1, listener) }) else { return nil }
        let server = callers[1].accept(listener)
        guard run(until: { callers[0].events(client) & Int(CK_POLLOUT) != 0 }) else { return nil }
        guard callers[0].connect(client, address(1, 80)) == 0, server >= 0 else { return nil }
        return (client, server)
    }
}
