internal import AIOCore
internal import CDropIns
internal import CKernel

/// The eventfd that a program wants to be signalled (IOCB_FLAG_RESFD).
struct Event: BitwiseCopyable {
    /// -1 for none.
    private var number: Int32 = -1
    private var isHeld = false

    /// None.
    init() {}

    /// Holds the eventfd by a duplicate, since the program may close it before the operation completes. Without a free
    /// descriptor the operation keeps the number, as it does that of its file. nil if `number` is not an eventfd;
    /// `refused` is the negative errno.
    init?(_ number: Int32, refused: inout Int) {
        refused = Kernel.checkEvent(number)
        guard refused == 0 else {
            // The kernel, which need not ask what the file is, has only one error for want of memory here.
            if refused != -Int(EBADF), refused != -Int(EINVAL) { refused = -Int(EAGAIN) }
            return nil
        }
        let duplicate = GuestNumbers.duplicate(number)
        isHeld = duplicate >= 0
        self.number = isHeld ? Int32(duplicate) : number
    }

    func signal() {
        // A number that is not held may have come to name another file, which must not be written to.
        if number >= 0, isHeld || Kernel.checkEvent(number) == 0 { Kernel.wake(number) }
    }

    func letGo() {
        if isHeld { GuestNumbers.close(number) }
    }
}
