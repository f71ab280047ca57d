internal import AIOCore
internal import CKernel
internal import Synchronization

/// What is believed of the file behind a descriptor: several share a place, and other threads may change it in between.
struct FileGuess: ~Copyable {
    /// Whether the page cache is worth asking.
    let cache: CacheGuess
    /// Upper half: the number that was last found open for buffered I/O. Lower half: how often to believe that yet.
    private let buffered: Atomic<UInt64>

    private static var credit: UInt64 { 64 }

    /// Whether `number` was open for buffered I/O not long ago. At worst a file that has taken the number meanwhile is
    /// read in the call, which then waits for its device, as often as there is credit.
    borrowing func isKnownBuffered(_ number: Int32) -> Bool {
        // Relaxed: nothing hangs on it but a question that is asked once more, or once less.
        let known = buffered.load(ordering: .relaxed)
        guard known >> 32 == UInt64(UInt32(bitPattern: number)), known & 0xffff_ffff > 0 else { return false }
        buffered.store(known - 1, ordering: .relaxed)
        return true
    }

    borrowing func noteBuffered(_ number: Int32) {
        buffered.store(UInt64(UInt32(bitPattern: number)) << 32 | Self.credit, ordering: .relaxed)
    }
}
