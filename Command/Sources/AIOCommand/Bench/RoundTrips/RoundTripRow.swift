import AIOCore

/// The measurements of one turn.
struct RoundTripTurn {
    /// The time in which the counted round trips ran.
    var elapsedNs: Nanoseconds
    /// User and system time of the measured process.
    var processorNs: UInt64
    var latency: Recorder.Times
    /// Disk reads that the same loop completed in that time.
    var readCount = 0

    var roundTripsPerSecond: Double { Double(latency.count) * 1e9 / Double(max(elapsedNs, 1)) }
    var readsPerSecond: Double { Double(readCount) * 1e9 / Double(max(elapsedNs, 1)) }
}

/// A contestant's line in the table, accumulated over the rounds.
final class RoundTripRow {
    let name: String
    private let takeTurn: (Nanoseconds) throws -> RoundTripTurn
    private(set) var turns: [RoundTripTurn] = []
    /// The times of all turns.
    private(set) var latency = Recorder.Times()

    /// `turn` runs one turn of the given length.
    init(_ name: String, turn: @escaping (Nanoseconds) throws -> RoundTripTurn) {
        self.name = name
        takeTurn = turn
    }

    func take(_ length: Nanoseconds) throws {
        let turn = try takeTurn(length)
        guard turn.latency.count > 0 else { throw Failure("no round trip in a turn: raise --duration") }
        turns.append(turn)
        latency.add(turn.latency)
    }

    var roundTripsPerSecond: Double { Figures.median(turns.map(\.roundTripsPerSecond)) }
    var readsPerSecond: Double { Figures.median(turns.map(\.readsPerSecond)) }

    /// The median of the turns' percentiles.
    func percentile(_ percent: Double) -> Double {
        Figures.median(turns.map { Double($0.latency.percentile(percent)) })
    }

    /// The median of the rounds' ratios.
    func ratio(to other: RoundTripRow, _ value: (RoundTripTurn) -> Double) -> Double {
        Figures.median(zip(turns, other.turns).map { value($0) / max(value($1), .leastNormalMagnitude) })
    }

    var processorNsPerRoundTrip: Double {
        let time = turns.reduce(0) { $0 + $1.processorNs }
        return Double(time) / Double(max(latency.count, 1))
    }
}

/// A part of the table: contestants that take turns with each other. The first one is the baseline.
struct RoundTripSection {
    let title: String
    let rows: [RoundTripRow]
}
