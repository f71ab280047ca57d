internal import CKernel

extension Operation {
    /// A write that failed with EFBIG on another thread than the one that wanted it: if it was RLIMIT_FSIZE, the
    /// kernel has sent SIGXFSZ to that thread, which blocks it. Here the process gets it.
    public func signalFileSizeLimit() {
        guard let transfer, transfer.isWrite else { return }
        var limit = ck_rlimit()
        guard Kernel.limit(CK_RLIMIT_FSIZE, &limit) == 0, UInt64(clamping: transfer.offset) >= limit.soft else {
            return
        }
        _ = Kernel.sendSignal(SIGXFSZ)
    }
}
