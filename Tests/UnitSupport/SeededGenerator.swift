import Glibc

/// Reproducible random numbers: SplitMix64. The seed is printed, and AIO_TEST_SEED sets it.
public struct SeededGenerator: RandomNumberGenerator {
    public let seed: UInt64
    private var state: UInt64

    /// `purpose` precedes the seed in the output.
    public init(_ purpose: String) {
        let forced = getenv("AIO_TEST_SEED").flatMap { UInt64(String(cString: $0)) }
        seed = forced ?? UInt64.random(in: .min ... .max)
        state = seed
        print("\(purpose): AIO_TEST_SEED=\(seed)")
    }

    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
