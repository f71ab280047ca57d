public import AIOCore

/// How long simulated devices take for an operation.
public struct Latency: Sendable, Hashable {
    /// The least time in nanoseconds, which most operations are near.
    public var least: Nanoseconds
    /// What chance adds at most.
    public var spread: Nanoseconds

    /// Those of a fast disk, unless given.
    public init(least: Nanoseconds = 20_000, spread: Nanoseconds = 400_000) {
        self.least = least
        self.spread = spread
    }

    func delay(_ random: inout SimulatedRandom) -> Nanoseconds {
        // Mostly short, seldom long: the square of a uniform choice.
        let share = Double(random.next() >> 11) / Double(1 << 53)
        return least &+ Nanoseconds(Double(spread) * share * share)
    }
}
