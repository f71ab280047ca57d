public import AIOCore
internal import CKernel

/// The flags of an open file when an operation is submitted (fcntl(2), F_GETFL). The program may change them before the
/// operation is carried out; the kernel's own Linux AIO reads them once, at submission.
public struct OpenFlags: BitwiseCopyable, Sendable {
    private let bits: UInt64

    /// nil if the number is not open, or is open with O_PATH, which allows no I/O: EBADF.
    @inline(__always)
    public init?(_ number: Int32) {
        let flags = Kernel.openFlags(number)
        guard flags >= 0, UInt64(flags) & CK_O_PATH == 0 else { return nil }
        bits = UInt64(flags)
    }

    /// Whether the file is open for such a transfer.
    @inline(__always)
    public func permits(isWrite: Bool) -> Bool {
        let access = bits & CK_O_ACCMODE
        return access == CK_O_RDWR || access == (isWrite ? CK_O_WRONLY : CK_O_RDONLY)
    }

    @inline(__always)
    public var isDirect: Bool { bits & CK_O_DIRECT != 0 }

    var isNonBlocking: Bool { bits & CK_O_NONBLOCK != 0 }
    fileprivate var isAppending: Bool { bits & CK_O_APPEND != 0 }
    fileprivate var isSync: Bool { bits & CK_O_SYNC == CK_O_SYNC }
    fileprivate var isDataSync: Bool { bits & CK_O_DSYNC != 0 }
}

extension Transfer {
    /// Fixes the flags for a write to a regular file or block device.
    ///
    /// RWF_NOAPPEND needs Linux 6.9. On older kernels an O_APPEND that is set later sends the write to the end of the
    /// file.
    mutating func fix(_ flags: OpenFlags, knowsNoAppend: Bool) {
        assert(isWrite, "a read does not append")
        if flags.isAppending {
            setAppending(.append)
        } else if knowsNoAppend {
            setAppending(.noAppend)
        }
        if flags.isSync {
            self.flags.insert(.sync)
        } else if flags.isDataSync {
            self.flags.insert(.dataSync)
        }
    }

    private mutating func setAppending(_ flag: TransferFlags) {
        guard flags.isDisjoint(with: [.append, .noAppend]) else { return }
        flags.insert(flag)
        form.insert(.dropsAppendFlags)
    }
}
