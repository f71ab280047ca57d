internal import CKernel

/// Checks whether memory is mapped before it is accessed, as a system call does that returns EFAULT.
///
/// rt_sigprocmask(2) copies 8 bytes before it validates its other arguments, and takes some 60 ns: the cheapest system
/// call for this. A thread that unmaps the memory afterwards is not guarded against (TOCTOU).
extension Kernel {
    /// Whether `count` bytes at `address` can be read. Checks each page once.
    public static func canRead(_ address: UInt, _ count: Int) -> Bool {
        // An invalid `how`: EINVAL if the set could be read, and nothing changes.
        probe(address, count) { call(CK_NR_rt_sigprocmask, -1, Int(bitPattern: $0), 0, 8) == -Int(EINVAL) }
    }

    /// Whether `count` bytes at `address` can be written. **Overwrites** 8 bytes in each of their pages.
    public static func canOverwrite(_ address: UInt, _ count: Int) -> Bool {
        probe(address, count) { call(CK_NR_rt_sigprocmask, 0, 0, Int(bitPattern: $0), 8) == 0 }
    }

    /// Calls `test` with an address of 8 bytes in each page, within the range unless that is shorter.
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
