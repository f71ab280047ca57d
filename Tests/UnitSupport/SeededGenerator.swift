import Glibc

/// Reproducible random numbers. The seed is printed, and AIO_TEST_SEED sets it.
public struct SeededGenerator: RandomNumberGenerator {
    public let seed: UInt64
    private var random: SplitMix

    /// `purpose` precedes the seed in the output.
    public init(_ purpose: String) {
        let forced = getenv("AIO_TEST_SEED").flatMap { UInt64(String(cString: $0)) }
        seed = forced ?? UInt64.random(in: .min ... .max)
        random = SplitMix(seed)
        print("\(purpose): AIO_TEST_SEED=\(seed)")
    }

    public mutating func next() -> UInt64 { random.next() }
}
