import CKernel
import Testing
import UnitSupport

@testable import AIOCore

/// Runs `body` on a thread for which io_uring_enter(2) fails with `errno`, and waits for its end.
func onRefusingThread(_ errno: Int32, _ body: @escaping @Sendable () -> Void) {
    TestThread {
        refuseRingEntries(with: errno)
        body()
    }.join()
}

/// Installs a seccomp(2) filter for the calling thread alone. It cannot be removed, and ends with the thread.
private func refuseRingEntries(with errno: Int32) {
    // struct sock_filter: load the number of the system call; skip one if it is not io_uring_enter; SECCOMP_RET_ERRNO;
    // SECCOMP_RET_ALLOW.
    var filter: [(code: UInt16, jt: UInt8, jf: UInt8, k: UInt32)] = [
        (0x20, 0, 0, 0),
        (0x15, 0, 1, UInt32(CK_NR_io_uring_enter)),
        (0x06, 0, 0, 0x0005_0000 | UInt32(errno)),
        (0x06, 0, 0, 0x7fff_0000),
    ]
    // PR_SET_NO_NEW_PRIVS, without which only root may set a filter; PR_SET_SECCOMP with SECCOMP_MODE_FILTER.
    let privileges = Kernel.call(CK_NR_prctl, 38, 1, 0, 0, 0)
    let count = UInt16(filter.count)
    let installed = filter.withUnsafeMutableBufferPointer { filter in
        var program = (count: count, filter: filter.baseAddress)
        return withUnsafePointer(to: &program) { Kernel.call(CK_NR_prctl, 22, 2, Kernel.address($0), 0, 0) }
    }
    #expect(privileges == 0 && installed == 0)
}
