/// The random choices of a simulation: SplitMix64 (Steele, Lea, Flood 2014), which any seed starts well.
struct SimulatedRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    /// True once in `count` times on average.
    mutating func oneIn(_ count: Int) -> Bool { next() % UInt64(count) == 0 }

    /// True in this part of all cases, 0 to 1. Without a choice, and so without a change of the others, if that is 0.
    mutating func happens(_ part: Double) -> Bool { part > 0 && Double(next() >> 11) < part * 0x1p53 }

    /// A number of 0 to `bound` - 1.
    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
}
