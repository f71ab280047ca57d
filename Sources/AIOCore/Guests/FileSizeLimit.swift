internal import CKernel

extension Operation {
    /// For a write that failed with EFBIG on a thread of the library: if RLIMIT_FSIZE was the reason, the kernel sent
    /// SIGXFSZ to that thread, which blocks it. Sends the signal to the process instead.
    public func signalFileSizeLimit() {
        guard let transfer, transfer.isWrite else { return }
        var limit = ck_rlimit()
        guard Kernel.limit(CK_RLIMIT_FSIZE, &limit) == 0, UInt64(clamping: transfer.offset) >= limit.soft else {
            return
        }
        _ = Kernel.sendSignal(SIGXFSZ)
    }
}
