internal import CKernel

/// Memory that may not be there: asked about before it is touched, as a system call does that answers EFAULT.
///
/// rt_sigprocmask(2) copies 8 bytes before it looks at what it shall do with them, and takes some 60 ns: the
/// cheapest system call that tells. A thread that unmaps the memory meanwhile is not guarded against.
extension Kernel {
    /// Whether `count` bytes at `address` can be read. Looks at each page once.
    public static func canRead(_ address: UInt, _ count: Int) -> Bool {
        // No such `how`: EINVAL where the set could be read, and nothing is changed.
        probe(address, count) { call(CK_NR_rt_sigprocmask, -1, Int(bitPattern: $0), 0, 8) == -Int(EINVAL) }
    }

    /// Whether `count` bytes at `address` can be written. **Overwrites** 8 bytes in each page of them.
    public static func canOverwrite(_ address: UInt, _ count: Int) -> Bool {
        probe(address, count) { call(CK_NR_rt_sigprocmask, 0, 0, Int(bitPattern: $0), 8) == 0 }
    }

    /// Calls `test` with 8 bytes in each page, never outside of the range unless it is shorter than that.
    @inline(__always)
    private static func probe(_ address: UInt, _ count: Int, _ test: (UInt) -> Bool) -> Bool {
        guard count > 0 else { return true }
        let (last, overflows) = address.addingReportingOverflow(UInt(max(count, 8) - 8))
        guard !overflows, test(last) else { return false }
        var page = address
        while page < last {
            if page >> 12 != last >> 12, !test(page) { return false }
            page = (page | 0xfff) &+ 1
        }
        return true
    }
}
