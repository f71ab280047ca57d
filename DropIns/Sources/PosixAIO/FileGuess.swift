internal import AIOCore
internal import CKernel
internal import Synchronization

/// A guess about the file behind a descriptor. Several descriptors share a slot, and other threads may change it at any
/// time.
struct FileGuess: ~Copyable {
    /// Whether the page cache is worth asking.
    let cache: CacheGuess
    /// Upper half: the number that was last found open for buffered I/O. Lower half: how many more times to believe
    /// that.
    private let buffered: Atomic<UInt64>

    private static var credit: UInt64 { 64 }

    /// Whether `number` was recently open for buffered I/O. At worst, a file that has taken the number meanwhile is
    /// read in the call, which then waits for its device, until the credit is used up.
    borrowing func isKnownBuffered(_ number: Int32) -> Bool {
        // Relaxed: a lost update only means one question to the kernel more or less.
        let known = buffered.load(ordering: .relaxed)
        guard known >> 32 == UInt64(UInt32(bitPattern: number)), known & 0xffff_ffff > 0 else { return false }
        buffered.store(known - 1, ordering: .relaxed)
        return true
    }

    borrowing func noteBuffered(_ number: Int32) {
        buffered.store(UInt64(UInt32(bitPattern: number)) << 32 | Self.credit, ordering: .relaxed)
    }
}
