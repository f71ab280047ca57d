internal import CKernel

/// Why a system call fails. The calls are written with typed throws; the door returns `result`.
struct CallError: Error {
    let result: Int

    init(_ errno: Int32) { result = -Int(errno) }

    /// A negative result, SimulatedKernel.wouldBlock included.
    init(result: Int) { self.result = result }
}

/// Unless `condition` holds, the call fails with `errno`.
func require(_ condition: Bool, _ errno: Int32) throws(CallError) {
    if !condition { throw CallError(errno) }
}
