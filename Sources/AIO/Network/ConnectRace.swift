internal import AIOCore

extension Connection {
    /// Connects to one of several addresses of the same host. The first connection that is established wins.
    ///
    /// Attempts start one after the other and alternate between the address families, beginning with the family of the
    /// first address. The next attempt starts when the previous one has failed, and after `attemptDelay` in any case
    /// (RFC 8305, "Happy Eyeballs", whose recommended delay is the default). The sockets of the other attempts are
    /// closed, also after an error or a cancellation. Kernel calls: socket(2), connect(2).
    ///
    /// - Throws: the error of the last attempt that failed, ``IOError/Code/cancelled``,
    ///   ``IOError/Code/deadlineExceeded``, or ``IOError/Code/invalidArgument`` if there is no address.
    public static func connect(
        toAnyOf addresses: [SocketAddress], attemptDelay: Duration = .milliseconds(250), runtime: IORuntime = .shared,
        deadline: Deadline = .never
    ) async throws(IOError) -> Connection {
        guard let first = addresses.first else {
            throw IOError(.invalidArgument, "connect", advice: "no address is given")
        }
        guard addresses.count > 1 else { return try await connect(to: first, runtime: runtime, deadline: deadline) }
        let race = ConnectRace(ConnectRace.interleaved(addresses), attemptDelay, runtime, deadline)
        return try await race.run()
    }
}

/// Staggered connection attempts, of which the first to succeed wins.
struct ConnectRace {
    private let addresses: [SocketAddress]
    private let delay: Duration
    private let runtime: IORuntime
    private let deadline: Deadline

    init(_ addresses: [SocketAddress], _ delay: Duration, _ runtime: IORuntime, _ deadline: Deadline) {
        self.addresses = addresses
        self.delay = delay
        self.runtime = runtime
        self.deadline = deadline
    }

    private enum Event: Sendable {
        case connected(Connection)
        case failed(IOError)
        /// The attempt before this one has had its head start.
        case isDue(Int)
    }

    func run() async throws(IOError) -> Connection {
        var outcome = Outcome()
        await withTaskGroup(of: Event.self) { group in
            begin(&outcome, &group)
            while let event = await group.next() { await take(event, &outcome, &group) }
        }
        if let connection = outcome.connection { return connection }
        throw outcome.error ?? IOError(.cancelled, "connect")
    }

    private struct Outcome {
        var connection: Connection?
        var error: IOError?
        var begunCount = 0
        var runningCount = 0
        /// Whether no further attempt starts.
        var isDecided = false
    }

    private func take(_ event: Event, _ outcome: inout Outcome, _ group: inout TaskGroup<Event>) async {
        switch event {
        case .connected(let connection):
            outcome.runningCount -= 1
            if outcome.connection == nil {
                outcome.connection = connection
                outcome.isDecided = true
            } else {
                // Both were established before one could be cancelled.
                try? await connection.close()
            }
        case .failed(let error):
            outcome.runningCount -= 1
            // Once the race is decided, errors come from cancelled attempts.
            if !outcome.isDecided { outcome.error = error }
            if !error.code.isOfOneAddress { outcome.isDecided = true }
            begin(&outcome, &group)
        case .isDue(let index):
            if index == outcome.begunCount { begin(&outcome, &group) }
        }
        if outcome.isDecided || outcome.runningCount == 0 { group.cancelAll() }
    }

    /// Starts the next attempt, if there is one.
    private func begin(_ outcome: inout Outcome, _ group: inout TaskGroup<Event>) {
        guard !outcome.isDecided, outcome.begunCount < addresses.count else { return }
        let address = addresses[outcome.begunCount]
        outcome.begunCount += 1
        outcome.runningCount += 1
        let (runtime, deadline, delay, next) = (runtime, deadline, delay, outcome.begunCount)
        group.addTask {
            do throws(IOError) {
                return .connected(try await Connection.connect(to: address, runtime: runtime, deadline: deadline))
            } catch {
                return .failed(error)
            }
        }
        guard next < addresses.count else { return }
        group.addTask {
            try? await runtime.sleep(for: delay)
            return .isDue(next)
        }
    }

    /// Alternates between the address families and keeps the order within each.
    static func interleaved(_ addresses: [SocketAddress]) -> [SocketAddress] {
        guard let first = addresses.first else { return [] }
        let same = addresses.filter { $0.family == first.family }
        let other = addresses.filter { $0.family != first.family }
        var mixed: [SocketAddress] = []
        for index in 0..<max(same.count, other.count) {
            if index < same.count { mixed.append(same[index]) }
            if index < other.count { mixed.append(other[index]) }
        }
        return mixed
    }
}

extension IOError.Code {
    /// Whether another address of the same host may succeed.
    fileprivate var isOfOneAddress: Bool {
        switch self {
        case .runtimeShutDown, .forked, .limitReached, .tooManyOpenFiles, .outOfMemory, .cancelled, .deadlineExceeded:
            false
        default: true
        }
    }
}
