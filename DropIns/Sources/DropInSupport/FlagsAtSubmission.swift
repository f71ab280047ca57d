public import AIOCore
internal import CKernel

extension Transfer {
    /// Fixes the flags of the open file for a write to a regular file or block device, as of submission. The kernel's
    /// own Linux AIO reads them once, at submission; the program may change them before a worker or the ring makes the
    /// write.
    ///
    /// RWF_NOAPPEND needs Linux 6.9. On older kernels an O_APPEND that is set later sends the write to the end of the
    /// file.
    public mutating func fixFlags(_ openFlags: UInt64, knowsNoAppend: Bool) {
        if openFlags & CK_O_APPEND == 0 {
            if knowsNoAppend { setAppending(.noAppend) }
        } else {
            setAppending(.append)
        }
        if openFlags & CK_O_SYNC == CK_O_SYNC {
            flags.insert(.sync)
        } else if openFlags & CK_O_DSYNC != 0 {
            flags.insert(.dataSync)
        }
    }

    private mutating func setAppending(_ flag: TransferFlags) {
        guard flags.isDisjoint(with: [.append, .noAppend]) else { return }
        flags.insert(flag)
        form.insert(.dropsAppendFlags)
    }
}
