internal import CKernel

/// A transfer that was accepted while its file was open without O_DIRECT, and that the program has set since: the flags
/// of an open file are shared by all its descriptors, and no flag of a transfer overrides this one. Unaligned, it would
/// end with EINVAL; the kernel's own Linux AIO looks at the flags once, at submission.
extension Transfer {
    /// Whether that may be why it ended with EINVAL.
    var mayHaveBecomeDirect: Bool {
        guard descriptor.kind == .buffered, !descriptor.isRegistered, !form.contains(.throughPageCache) else {
            return false
        }
        return isDirectByNow
    }

    fileprivate var isDirectByNow: Bool {
        UInt64(max(0, Kernel.openFlags(descriptor.number))) & CK_O_DIRECT != 0
    }
}

extension Transfer {
    /// Without the flags that are to be dropped where the file knows none. nil if there are no such.
    var withoutAppendFlags: Transfer? {
        guard form.contains(.dropsAppendFlags) else { return nil }
        var plain = self
        plain.flags.remove([.append, .noAppend])
        plain.form.remove(.dropsAppendFlags)
        return plain
    }
}
