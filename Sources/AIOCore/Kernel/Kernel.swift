internal import CKernel

/// The one door to the kernel: a function a system call, and nothing else calls it.
///
/// Every function returns what the kernel returned: a value, or a negative errno. None reads or
/// writes libc's `errno`, none is a cancellation point, and none retries.
public enum Kernel {
    @inline(__always)
    static func call(
        _ number: Int, _ a: Int = 0, _ b: Int = 0, _ c: Int = 0, _ d: Int = 0, _ e: Int = 0, _ f: Int = 0
    ) -> Int {
        ck_system_call_6(number, a, b, c, d, e, f)
    }

    @inline(__always)
    static func address(_ pointer: UnsafeRawPointer?) -> Int { Int(bitPattern: pointer) }
}
