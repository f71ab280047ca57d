import AIOCore
import ArgumentParser
import CKernel

/// The limits of `aio serve` on the command line.
struct ServeLimitOptions: ParsableArguments {
    @Option(help: "Concurrent connections; others wait (default: what RLIMIT_NOFILE allows, at most 16384).")
    var connections: Int?

    @Option(help: "The largest head of a request, in bytes.")
    var headSize = ByteCount(32 << 10)

    @Option(help: "The largest body of a request, in bytes; bodies are read and discarded.")
    var bodySize = ByteCount(64 << 10)

    @Option(help: "The time limit for receiving a request, from its first byte on.")
    var headTime = TimeSpan(milliseconds: 30_000)

    @Option(help: "How long a connection without a request is kept open.")
    var idleTime = TimeSpan(milliseconds: 75_000)

    @Option(help: "How long a client may accept no data before its connection is closed.")
    var stallTime = TimeSpan(milliseconds: 60_000)

    @Option(help: "The time limit for requests in progress when the server stops.")
    var shutdownTime = TimeSpan(milliseconds: 30_000)

    /// Close to the most operations that one process can wait for.
    private static var connectionsMax: Int { 1_000_000 }
    private static var connectionsDefault: Int { 16_384 }
    /// Descriptors that are reserved for loops and for files, which are open while they are sent.
    private static func otherDescriptors(of descriptors: Int) -> Int { max(64, descriptors / 8) }

    func validate() throws {
        if let connections, !(1...Self.connectionsMax).contains(connections) {
            throw ValidationError("--connections must be 1 to \(Self.connectionsMax)")
        }
        guard (1024...(1 << 20)).contains(headSize.bytes) else {
            throw ValidationError("--head-size must be 1 KiB to 1 MiB")
        }
        for (name, time) in [
            ("head-time", headTime), ("idle-time", idleTime), ("stall-time", stallTime),
        ] where time.nanoseconds == 0 {
            throw ValidationError("--\(name) must be more than 0")
        }
    }

    /// The limits, with the default number of connections derived from RLIMIT_NOFILE. Raises its soft limit to the hard
    /// limit.
    func resolved() throws(Failure) -> ServeLimits {
        let descriptors = Self.raiseDescriptorLimit()
        let most = max(1, descriptors - Self.otherDescriptors(of: descriptors))
        if let connections, connections > most {
            throw Failure(
                "--connections \(connections): RLIMIT_NOFILE (\(descriptors)) allows \(most); raise it (ulimit -Hn) "
                    + "or lower --connections")
        }
        var limits = ServeLimits()
        limits.connections = connections ?? min(most, Self.connectionsDefault)
        limits.headSize = headSize.bytes
        limits.bodySize = Int64(bodySize.bytes)
        limits.headTime = .nanoseconds(headTime.nanoseconds)
        limits.idleTime = .nanoseconds(idleTime.nanoseconds)
        limits.stallTime = .nanoseconds(stallTime.nanoseconds)
        limits.shutdownTime = .nanoseconds(shutdownTime.nanoseconds)
        return limits
    }

    /// Returns the limit in force.
    private static func raiseDescriptorLimit() -> Int {
        var limit = ck_rlimit()
        guard Kernel.limit(CK_RLIMIT_NOFILE, &limit) == 0 else { return 1024 }
        var raised = limit
        raised.soft = limit.hard
        if Kernel.setLimit(CK_RLIMIT_NOFILE, raised) == 0 { limit = raised }
        return Int(clamping: limit.soft)
    }
}
