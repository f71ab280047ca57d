/// The random choices of one step: SplitMix64. Each step has a stream of its own, so that a step chooses the same when
/// others are left out (`shrink`).
struct StepRandom {
    private var state: UInt64

    init(seed: UInt64, step: Int) {
        state = (seed &+ 1) &* 0xd134_2543_de82_ef95 &+ UInt64(truncatingIfNeeded: step) &* 0x2545_f491_4f6c_dd1d
        _ = next()
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    /// From 0 to `limit` - 1.
    mutating func below(_ limit: Int) -> Int { Int(((next() >> 32) &* UInt64(limit)) >> 32) }

    mutating func isOne(in count: Int) -> Bool { below(count) == 0 }

    mutating func nanoseconds(below limit: UInt64) -> UInt64 { next() % limit }
}
