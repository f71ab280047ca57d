import AIOCore
import CKernel

/// A descriptor that this command owns. It is closed at the end of its lifetime.
struct OpenDescriptor: ~Copyable {
    let number: Int32

    init(owning number: Int32) { self.number = number }

    /// Opens a file with openat2(2), close-on-exec. `mode` applies to a file that is created.
    init(_ path: String, _ flags: UInt64, mode: UInt64 = 0, in directory: Int32 = CK_AT_FDCWD) throws(Failure) {
        var how = ck_open_how(flags: flags | CK_O_CLOEXEC, mode: mode, resolve: 0)
        let result = path.withCString { Kernel.openat2(directory, $0, &how) }
        guard result >= 0 else { throw Failure("open \(path.quoted)", result: result) }
        number = Int32(result)
    }

    /// Gives up ownership: the caller must close the descriptor.
    consuming func release() -> Int32 {
        let number = number
        discard self
        return number
    }

    deinit { Kernel.close(number) }
}
