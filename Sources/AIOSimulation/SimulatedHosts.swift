public import AIO
internal import AIOCore

extension Simulation {
    /// A machine of a simulation, with one process, a disk and a network address. Its name resolves to the address on
    /// every host.
    public final class Host: @unchecked Sendable {
        // @unchecked: its functions are called by tasks of the simulation, which run on one thread.

        let simulated: SimulatedHost

        init(_ simulated: SimulatedHost) { self.simulated = simulated }

        /// The name under which other hosts find it.
        public var name: String { simulated.name }

        /// The host's first address, for example 10.0.0.2.
        public var address: IPv4Address { simulated.kernel.node.addresses[0].v4 }

        /// What the host's process has written to standard output and standard error.
        public var output: String { String(decoding: simulated.kernel.output, as: UTF8.self) }

        /// Runs `body` on this host: ``IORuntime/shared`` is the host's there, as are files, names and addresses.
        /// Cancelling the caller's task cancels the body.
        public func run<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) async throws -> Value {
            let task = simulated.driver.with(simulated) {
                Task(executorPreference: simulated.executor) { try await body() }
            }
            return try await withTaskCancellationHandler {
                try await task.value
            } onCancel: {
                task.cancel()
            }
        }
    }

    /// The host that the body runs on.
    public var host: Host { Host(driver.hosts[0]) }

    /// Adds a host with an empty disk, which is connected with all others.
    public func addHost(_ name: String) throws -> Host {
        Host(try driver.addHost(name, SimulatedExecutor(driver.world), driver.hosts[0].runtime.configuration))
    }

    // MARK: The network

    /// Stops all packets between two hosts, also those on their way. A connection goes on after `heal`, or times out.
    public func partition(_ a: Host, _ b: Host) { driver.world.network.partition(a.node, b.node) }

    /// Stops the packets of one direction.
    public func cut(from: Host, to: Host) { driver.world.network.cut(from: from.node, to: to.node) }

    /// Ends a partition.
    public func heal(_ a: Host, _ b: Host) { driver.world.network.heal(a.node, b.node) }

    /// Resets all connections between two hosts.
    public func reset(_ a: Host, _ b: Host) { driver.world.network.reset(a.node, b.node) }

    /// Sets what the link between two hosts is like, in both directions.
    ///
    /// - Parameters:
    ///   - jitter: each packet is late by a part of it, by chance.
    ///   - loss: the part of the packets that get lost, 0 to 1: datagrams for good, data of connections until it is
    ///     sent again.
    ///   - reordering: the part of the packets that are held up, 0 to 1, so that later ones overtake them: datagrams,
    ///     and data of other connections. Data of one connection arrives in its order.
    ///   - holdUp: how long they are held up at most, by chance.
    ///   - duplication: the part of the datagrams that arrive twice, 0 to 1.
    public func setLink(
        _ a: Host, _ b: Host, latency: Duration = .microseconds(500), jitter: Duration = .microseconds(100),
        bytesPerSecond: Int = 125_000_000, loss: Double = 0, reordering: Double = 0,
        holdUp: Duration = .milliseconds(10), duplication: Double = 0
    ) {
        for (from, to) in [(a, b), (b, a)] {
            driver.world.network.setLink(from.node, to.node) { link in
                link.latency = latency.nanoseconds
                link.jitter = jitter.nanoseconds
                link.bytesPerSecond = bytesPerSecond
                link.loss = loss
                link.reordering = reordering
                link.holdUp = holdUp.nanoseconds
                link.duplication = duplication
            }
        }
    }
}

extension Simulation.Host {
    fileprivate var node: NetworkHost { simulated.kernel.node }
}
