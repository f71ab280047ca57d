internal import AIOCore
internal import CDropIns
internal import CKernel

/// What the kernel refuses at submission, in the kernel's order.
enum TransferRules {
    /// MAX_RW_COUNT, the most that one call transfers.
    static var countMax: Int { 0x7fff_f000 }
    /// Flags that every kernel and every file accepts. Others only the kernel can judge.
    static var plainFlags: UInt32 { CK_RWF_HIPRI | CK_RWF_DSYNC | CK_RWF_SYNC | CK_RWF_APPEND }
    /// UIO_MAXIOV.
    static var vectorsMax: Int { 1024 }

    /// Checks the priority and the flags.
    static func check(_ block: ck_iocb, isWrite: Bool) -> Int {
        if block.flags & CK_IOCB_FLAG_IOPRIO != 0 {
            let refused = checkPriority(UInt16(bitPattern: block.priority))
            guard refused == 0 else { return refused }
        }
        // The kernel defines no flags there yet.
        guard block.rw_flags >> 28 == 0 else { return -Int(EOPNOTSUPP) }
        let both = CK_RWF_APPEND | CK_RWF_NOAPPEND
        guard block.rw_flags & both != both else { return -Int(EINVAL) }
        guard isWrite || block.rw_flags & CK_RWF_ATOMIC == 0 else { return -Int(EOPNOTSUPP) }
        return 0
    }

    /// ioprio_set(2): checks class and level.
    private static func checkPriority(_ priority: UInt16) -> Int {
        switch priority >> 13 {
        case 0: priority & 7 == 0 ? 0 : -Int(EINVAL)
        // The real-time class needs privileges.
        case 1: Kernel.effectiveUser() == 0 ? 0 : -Int(EPERM)
        case 2, 3: 0
        default: -Int(EINVAL)
        }
    }

    /// rw_verify_area in the kernel: refuses negative offsets and ends beyond the largest offset.
    static func checkRange(_ offset: Int64, _ count: Int) -> Int {
        let (_, overflows) = offset.addingReportingOverflow(Int64(count))
        return offset < 0 || overflows ? -Int(EINVAL) : 0
    }

    /// access_ok in the kernel.
    static func isInUserSpace(_ address: UInt64, _ count: Int) -> Bool {
        let (end, overflows) = address.addingReportingOverflow(UInt64(count))
        return !overflows && end <= userSpaceEnd
    }

    /// The end with five levels of page tables. With four, the upper part cannot be mapped and fails later with the
    /// same error.
    private static var userSpaceEnd: UInt64 { 1 << 56 }

    /// Adds up the lengths of a vector. The kernel truncates it at MAX_RW_COUNT.
    static func total(_ vectors: UnsafeMutableBufferPointer<iovec>, _ bytes: inout Int) -> Int {
        bytes = 0
        // As import_iovec in the kernel: all lengths are checked first, and a single one is truncated before its
        // address is checked.
        for vector in vectors where Int(truncatingIfNeeded: vector.iov_len) < 0 { return -Int(EINVAL) }
        for index in vectors.indices {
            var length = Int(truncatingIfNeeded: vectors[index].iov_len)
            if vectors.count == 1 { length = min(length, countMax) }
            guard isInUserSpace(UInt64(UInt(bitPattern: vectors[index].iov_base)), length) else { return -Int(EFAULT) }
            let kept = min(length, countMax - bytes)
            vectors[index].iov_len = kept
            bytes += kept
        }
        return 0
    }
}
