public import AIOCore
internal import CKernel

/// How long simulated devices take for an operation.
public struct Latency: Sendable, Hashable {
    /// The least time in nanoseconds, which most operations are near.
    public var least: Nanoseconds
    /// What chance adds at most.
    public var spread: Nanoseconds

    /// The time in nanoseconds of each system call that an operation makes: of one among the thousands that remove a
    /// tree.
    public var call: Nanoseconds
    /// What an operation transfers in a second.
    public var bytesPerSecond: UInt64

    /// Those of a fast disk, unless given.
    public init(
        least: Nanoseconds = 20_000, spread: Nanoseconds = 400_000, call: Nanoseconds = 1_000,
        bytesPerSecond: UInt64 = 4_000_000_000
    ) {
        self.least = least
        self.spread = spread
        self.call = call
        self.bytesPerSecond = bytesPerSecond
    }

    /// The time of a system call with a result.
    func time(of number: Int, _ result: Int) -> Nanoseconds {
        guard result > 0, Self.isTransfer(number), bytesPerSecond > 0 else { return call }
        let (quotient, remainder) = UInt64(result).quotientAndRemainder(dividingBy: bytesPerSecond)
        let (high, low) = remainder.multipliedFullWidth(by: 1_000_000_000)
        return call &+ quotient &* 1_000_000_000 &+ bytesPerSecond.dividingFullWidth((high, low)).quotient
    }

    private static func isTransfer(_ number: Int) -> Bool {
        switch number {
        case CK_NR_read, CK_NR_write, CK_NR_pread64, CK_NR_pwrite64, CK_NR_preadv2, CK_NR_pwritev2,
            CK_NR_copy_file_range, CK_NR_splice, CK_NR_tee, CK_NR_sendmsg, CK_NR_recvmsg, CK_NR_sendto, CK_NR_recvfrom:
            true
        default: false
        }
    }

    func delay(_ random: inout SimulatedRandom) -> Nanoseconds {
        // Mostly short, seldom long: the square of a uniform choice.
        let share = Double(random.next() >> 11) / Double(1 << 53)
        return least &+ Nanoseconds(Double(spread) * share * share)
    }
}
