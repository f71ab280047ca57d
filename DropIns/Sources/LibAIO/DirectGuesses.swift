internal import AIOCore
internal import CKernel
internal import Synchronization

/// Which descriptors are files, or block devices, that are open for direct I/O: a question of two system calls, whose
/// answer is believed for a while.
///
/// At worst a file that has taken the number meanwhile is read, or written, as the kernel's Linux AIO does it.
struct DirectGuesses {
    /// In each: the number in the upper half, how often to believe it yet in the lower.
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
        // Relaxed: nothing hangs on it but a question that is asked once more, or once less.
        let guess = place.pointee.load(ordering: .relaxed)
        if guess >> 32 == UInt64(number), guess & 0xffff_ffff > 0 {
            place.pointee.store(guess - 1, ordering: .relaxed)
            return true
        }
        guard UInt64(max(0, Kernel.openFlags(number))) & CK_O_DIRECT != 0,
            // A pipe may be so, too.
            Descriptor.classify(number).kind == .direct
        else { return false }
        place.pointee.store(UInt64(number) << 32 | Self.credit, ordering: .relaxed)
        return true
    }
}
