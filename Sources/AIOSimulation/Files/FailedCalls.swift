internal import AIOCore
internal import CKernel

extension SimulatedKernel {
    /// Has a call on files fail, and returns its result. What the call would have done is not done, with these
    /// exceptions: a failed sync loses the data that it should have saved, and a write may have begun.
    func failFileCall(_ call: SystemCall, with errno: Int32) -> Int {
        switch call.number {
        case CK_NR_fsync, CK_NR_fdatasync: failSync(call, errno)
        case CK_NR_write, CK_NR_pwrite64, CK_NR_writev, CK_NR_pwritev, CK_NR_pwritev2: failWrite(call, errno)
        default: -Int(errno)
        }
    }

    private func failSync(_ call: SystemCall, _ errno: Int32) -> Int {
        guard let open = descriptors[call.a] as? FileDescription else { return -Int(errno) }
        fileSystem.failSync(open.inode)
        // Reported now, and so not again to this description.
        do throws(CallError) { try open.reportErrors() } catch {}
        return -Int(errno)
    }

    /// EIO of a synchronous write comes from its sync: the data is in memory, and lost to the device. Any other write
    /// fails as a whole; a count instead of an error is the caller's choice, by a shorter call.
    private func failWrite(_ call: SystemCall, _ errno: Int32) -> Int {
        guard errno == EIO, let open = descriptors[call.a] as? RegularFileDescription else { return -Int(errno) }
        let isSynchronous = open.flags & CK_O_DSYNC != 0 || call.f & Int(CK_RWF_DSYNC | CK_RWF_SYNC) != 0
        guard isSynchronous, call.number == CK_NR_pwritev2 else { return -Int(errno) }
        let flags = open.flags
        open.flags &= ~CK_O_SYNC
        let plain = SystemCall(
            call.number, call.a, call.b, call.c, call.d, call.e, call.f & ~Int(CK_RWF_DSYNC | CK_RWF_SYNC))
        let result = answerFileCall(plain) ?? -Int(errno)
        open.flags = flags
        return result < 0 ? result : failSync(call, errno)
    }
}
