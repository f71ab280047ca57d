import AIOCore

/// One turn with an echo server: connect, warm up, measure.
struct EchoTurn {
    let connections: Int
    /// Bytes per message.
    let size: Int
    /// Messages per second; nil for no limit.
    var rate: Int?

    /// The start of a turn is not measured: it includes the server's own warm-up.
    private static let warmUpMax: Nanoseconds = 200_000_000

    func take(_ server: ServerProcess, _ length: Nanoseconds, reads: SharedCounter? = nil) throws -> RoundTripTurn {
        do {
            let client = try EchoClient(to: server.address, connections: connections, size: size, rate: rate)
            _ = try client.run(until: Kernel.now() + min(length / 2, Self.warmUpMax))
            let readsBefore = reads?.value ?? 0
            let processorBefore = server.processorTime
            let start = Kernel.now()
            let latency = try client.run(until: start + length)
            let elapsed = Kernel.now() &- start
            return RoundTripTurn(
                elapsedNs: elapsed, processorNs: server.processorTime &- processorBefore, latency: latency,
                readCount: (reads?.value ?? 0) - readsBefore)
        } catch let failure as Failure {
            try Interruption.check()
            // A server that failed prints its reason.
            throw server.complaint().map { Failure($0) } ?? failure
        }
    }
}
