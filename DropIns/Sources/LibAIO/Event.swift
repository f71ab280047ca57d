internal import AIOCore
internal import CKernel

/// The eventfd that a program wants to be signalled (IOCB_FLAG_RESFD).
enum Event {
    /// Duplicates the descriptor, since the program may close it before the operation completes. Returns a negative
    /// errno if `number` is not an eventfd.
    static func hold(_ number: Int32) -> Int {
        var status = ck_statx()
        let found = Kernel.status(number, CK_STATX_TYPE, &status)
        guard found >= 0 else { return -Int(EBADF) }
        // Of the files without a type, only an eventfd accepts a write of 8 zero bytes. They add nothing to it.
        var zero: UInt64 = 0
        guard status.mode & CK_S_IFMT == 0, Kernel.write(number, &zero, 8) == 8 else { return -Int(EINVAL) }
        return GuestNumbers.duplicate(number)
    }
}
