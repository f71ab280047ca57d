internal import CKernel

/// A transfer that was accepted while its file was open without O_DIRECT, which the program has set since: all
/// descriptors of an open file share its flags, and no transfer flag overrides this one. An unaligned transfer would
/// fail with EINVAL. The kernel's own Linux AIO checks the flag once, at submission.
extension Transfer {
    /// Whether that may be the reason for EINVAL.
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
    /// The transfer without the flags to drop where the file supports none; nil if it has none of these.
    var withoutAppendFlags: Transfer? {
        guard form.contains(.dropsAppendFlags) else { return nil }
        var plain = self
        plain.flags.remove([.append, .noAppend])
        plain.form.remove(.dropsAppendFlags)
        return plain
    }
}
