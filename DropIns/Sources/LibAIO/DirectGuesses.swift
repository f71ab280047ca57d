internal import AIOCore
internal import CKernel
internal import Synchronization

/// Guesses which descriptors are files or block devices open for direct I/O. The answer takes two system calls and is
/// believed for a while.
///
/// At worst, a file that has taken the number meanwhile is read or written as the kernel's Linux AIO does it.
struct DirectGuesses {
    /// In each slot, the upper half is the number, the lower half how many more times to believe it.
    private let known: UnsafeMutablePointer<Atomic<UInt64>>

    private static var count: Int { 64 }
    private static var credit: UInt64 { 64 }

    init() {
        known = .allocate(capacity: Self.count)
        for index in 0..<Self.count { (known + index).initialize(to: Atomic(0)) }
    }

    func isDirect(_ number: Int32) -> Bool {
        guard number >= 0 else { return false }
        let place = known + Int(number) % Self.count
        // Relaxed: a lost update only means one question to the kernel more or less.
        let guess = place.pointee.load(ordering: .relaxed)
        if guess >> 32 == UInt64(number), guess & 0xffff_ffff > 0 {
            place.pointee.store(guess - 1, ordering: .relaxed)
            return true
        }
        guard UInt64(max(0, Kernel.openFlags(number))) & CK_O_DIRECT != 0,
            // A pipe may have O_DIRECT too.
            Descriptor.classify(number).kind == .direct
        else { return false }
        place.pointee.store(UInt64(number) << 32 | Self.credit, ordering: .relaxed)
        return true
    }
}
