internal import CKernel

/// The only place that makes system calls: one function per call.
///
/// Every function returns the kernel's result: a value, or a negative errno. None accesses libc's `errno`, none is a
/// cancellation point, and none retries, except with another form of a call that a seccomp filter refuses
/// (`Refusals.swift`).
public enum Kernel {
    @inline(__always)
    static func call(
        _ number: Int, _ a: Int = 0, _ b: Int = 0, _ c: Int = 0, _ d: Int = 0, _ e: Int = 0, _ f: Int = 0
    ) -> Int {
        guard !hasStandIn else { return answered(SystemCall(number, a, b, c, d, e, f)) }
        return ck_system_call_6(number, a, b, c, d, e, f)
    }

    @inline(__always)
    static func address(_ pointer: UnsafeRawPointer?) -> Int { Int(bitPattern: pointer) }
}
