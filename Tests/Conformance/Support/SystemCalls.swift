import CSimulatedLibrary

/// System calls that only the tests need, with the numbers of the kernel's tables.
enum SystemCall {
    #if arch(x86_64)
        static let pipe2 = 293
        static let capset = 126
        static let seccomp = 317
    #else
        static let pipe2 = 59
        static let capset = 91
        static let seccomp = 277
    #endif
    static let fsopen = 430
    static let fsconfig = 431
    static let fsmount = 432

    /// Returns the value or a negative errno.
    static func call(
        _ number: Int, _ a: Int = 0, _ b: Int = 0, _ c: Int = 0, _ d: Int = 0, _ e: Int = 0, _ f: Int = 0
    ) -> Int {
        sl_system_call(number, a, b, c, d, e, f)
    }
}

/// A pointer as an argument of a system call.
func address(_ pointer: UnsafeRawPointer?) -> Int { Int(bitPattern: pointer) }
