public import AIOCore
internal import CKernel

extension Transfer {
    /// Fixes what the flags of the open file mean for a write to a regular file or block device: the kernel's own Linux AIO
    /// looks at them once, at submission, and the program may set others before a worker, or the ring, comes to it.
    ///
    /// RWF_NOAPPEND is there from Linux 6.9 on; before that, O_APPEND set later sends the write to the end of the file.
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
