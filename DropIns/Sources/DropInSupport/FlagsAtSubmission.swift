public import AIOCore
internal import CKernel

extension Transfer {
    /// Fixes what the flags of the open file mean for a write to a regular file or block device: the kernel's own Linux AIO
    /// looks at them once, at submission, and the program may set others before a worker, or the ring, comes to it.
    ///
    /// RWF_NOAPPEND is there from Linux 6.9 on; before that, O_APPEND set later sends the write to the end of the file.
    public mutating func fixFlags(_ openFlags: UInt64, knowsNoAppend: Bool) {
        if openFlags & CK_O_APPEND == 0 {
            if knowsNoAppend, flags.isDisjoint(with: [.append, .noAppend]) { flags.insert([.noAppend, .dropsAppend]) }
        } else if flags.isDisjoint(with: [.append, .noAppend]) {
            flags.insert([.append, .dropsAppend])
        }
        if openFlags & CK_O_SYNC == CK_O_SYNC {
            flags.insert(.sync)
        } else if openFlags & CK_O_DSYNC != 0 {
            flags.insert(.dataSync)
        }
    }
}
