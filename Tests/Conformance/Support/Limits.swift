import AIO
import CKernel
import Glibc
import Testing

/// Restricts the calling process; for exit tests only.
enum Limits {
    /// The error of an attempt without free descriptors. The descriptors that are opened for that are added to `held`.
    /// If another thread of the process (of the testing library, for instance) closes one in between, the attempt is
    /// repeated.
    static func errorWithoutDescriptors(
        _ held: inout [Int32], _ attempt: () async throws -> Void
    ) async throws -> IOError {
        while true {
            held += try useUpDescriptors()
            do { try await attempt() } catch let error as IOError { return error }
        }
    }

    /// Lowers RLIMIT_NOFILE.
    static func allowDescriptors(_ count: Int) throws {
        try OwnPool.install()
        var limit = rlimit(rlim_cur: rlim_t(count), rlim_max: rlim_t(count))
        try #require(setrlimit(__rlimit_resource_t(UInt32(CK_RLIMIT_NOFILE)), &limit) == 0)
    }

    /// Opens descriptors until none is free, and returns them.
    static func useUpDescriptors() throws -> [Int32] {
        try allowDescriptors(64)
        var held: [Int32] = []
        while case let descriptor = Glibc.open("/dev/null", O_RDONLY | O_CLOEXEC), descriptor >= 0 {
            held.append(descriptor)
        }
        let failure = errno
        try #require(failure == EMFILE, "errno \(failure)")
        return held
    }

    /// Lowers RLIMIT_MEMLOCK, and drops the calling thread's capability to exceed it (CAP_IPC_LOCK).
    static func lockNoMoreMemoryThan(_ size: Int) throws {
        var limit = rlimit(rlim_cur: rlim_t(size), rlim_max: rlim_t(size))
        try #require(setrlimit(__rlimit_resource_t(UInt32(CK_RLIMIT_MEMLOCK)), &limit) == 0)
        try dropCapabilities()
    }

    /// capset(2) with an empty set. Threads that the caller starts inherit it.
    private static func dropCapabilities() throws {
        // struct __user_cap_header_struct: _LINUX_CAPABILITY_VERSION_3, and this thread.
        var header: (UInt32, Int32) = (0x2008_0522, 0)
        var none: (UInt64, UInt64, UInt64) = (0, 0, 0)
        let result = withUnsafePointer(to: &header) { header in
            withUnsafePointer(to: &none) { none in
                SystemCall.call(SystemCall.capset, address(header), address(none))
            }
        }
        try #require(result == 0)
    }
}

/// Seccomp filters, as containers install them.
enum Seccomp {
    /// From now on io_uring's three system calls fail with `errno` in every thread of this process.
    static func refuseIOUring(with errno: Int32) throws {
        try refuse([CK_NR_io_uring_setup, CK_NR_io_uring_enter, CK_NR_io_uring_register], with: errno)
    }

    /// From now on these system calls fail with `errno` in every thread of this process.
    static func refuse(_ calls: [Int], with errno: Int32) throws {
        // SECCOMP_RET_ERRNO
        var instructions =
            matching(calls) + [FilterInstruction(code: 0x06, jt: 0, jf: 0, k: 0x0005_0000 | UInt32(errno))]
        try install(&instructions)
    }

    /// From now on this process is killed (SIGSYS) when any of its threads makes this system call; with an argument
    /// index, only if that argument has this value.
    static func killAt(_ call: Int, argument: Int? = nil, is value: UInt32 = 0) throws {
        // No core file: 4 is RLIMIT_CORE.
        var limit = rlimit(rlim_cur: 0, rlim_max: 0)
        try #require(setrlimit(__rlimit_resource_t(4), &limit) == 0)
        var instructions = matching([call])
        if let argument {
            // The arguments are 64-bit words from byte 16 on.
            instructions += [
                FilterInstruction(code: 0x20, jt: 0, jf: 0, k: UInt32(16 + 8 * argument)),
                FilterInstruction(code: 0x15, jt: 1, jf: 0, k: value),
                FilterInstruction(code: 0x06, jt: 0, jf: 0, k: 0x7fff_0000),
            ]
        }
        // SECCOMP_RET_KILL_PROCESS
        instructions.append(FilterInstruction(code: 0x06, jt: 0, jf: 0, k: 0x8000_0000))
        try install(&instructions)
    }

    /// Allows all other system calls, and continues with the next instruction for these.
    private static func matching(_ calls: [Int]) -> [FilterInstruction] {
        // The system call's number is the first word of struct seccomp_data.
        var instructions = [FilterInstruction(code: 0x20, jt: 0, jf: 0, k: 0)]
        for (index, call) in calls.enumerated() {
            instructions.append(
                FilterInstruction(code: 0x15, jt: UInt8(calls.count - index), jf: 0, k: UInt32(call)))
        }
        // SECCOMP_RET_ALLOW
        return instructions + [FilterInstruction(code: 0x06, jt: 0, jf: 0, k: 0x7fff_0000)]
    }

    private static func install(_ instructions: inout [FilterInstruction]) throws {
        // PR_SET_NO_NEW_PRIVS, without which only root may install a filter.
        try #require(SystemCall.call(CK_NR_prctl, 38, 1, 0, 0, 0) == 0)
        let count = UInt16(instructions.count)
        let result = instructions.withUnsafeMutableBufferPointer { buffer in
            var program = FilterProgram(len: count, filter: buffer.baseAddress)
            // SECCOMP_SET_MODE_FILTER with SECCOMP_FILTER_FLAG_TSYNC.
            return withUnsafePointer(to: &program) { SystemCall.call(SystemCall.seccomp, 1, 1, address($0)) }
        }
        try #require(result == 0)
    }
}

/// struct sock_filter and struct sock_fprog of linux/filter.h.
struct FilterInstruction {
    var code: UInt16
    var jt: UInt8
    var jf: UInt8
    var k: UInt32
}

struct FilterProgram {
    var len: UInt16
    var filter: UnsafeMutablePointer<FilterInstruction>?
}
