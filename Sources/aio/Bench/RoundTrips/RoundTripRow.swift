import AIOCore

/// What one turn measured.
struct RoundTripTurn {
    /// Of the round trips that were counted, from the first one's start to the last one's end.
    var elapsedNs: Nanoseconds
    /// User and system time of who is measured.
    var processorNs: UInt64
    var latency: Recorder.Times
    /// Reads of a disk by the same loop meanwhile.
    var readCount = 0

    var roundTripsPerSecond: Double { Double(latency.count) * 1e9 / Double(max(elapsedNs, 1)) }
    var readsPerSecond: Double { Double(readCount) * 1e9 / Double(max(elapsedNs, 1)) }
}

/// A contestant's line in the table, collected over the rounds.
final class RoundTripRow {
    let name: String
    private let takeTurn: (Nanoseconds) throws -> RoundTripTurn
    private(set) var turns: [RoundTripTurn] = []
    /// All turns together.
    private(set) var latency = Recorder.Times()

    /// `turn` is given its length.
    init(_ name: String, turn: @escaping (Nanoseconds) throws -> RoundTripTurn) {
        self.name = name
        takeTurn = turn
    }

    func take(_ length: Nanoseconds) throws {
        let turn = try takeTurn(length)
        guard turn.latency.count > 0 else { throw Failure("no round trip in a turn: give a longer --duration") }
        turns.append(turn)
        latency.add(turn.latency)
    }

    var roundTripsPerSecond: Double { Figures.median(turns.map(\.roundTripsPerSecond)) }
    var readsPerSecond: Double { Figures.median(turns.map(\.readsPerSecond)) }

    /// The median of the turns' values.
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

/// A part of the table: contestants that take turns with each other. The first is what the others are compared with.
struct RoundTripSection {
    let title: String
    let rows: [RoundTripRow]
}
