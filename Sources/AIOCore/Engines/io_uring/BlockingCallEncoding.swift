internal import CKernel

extension BlockingCall {
    /// The encoding of a call for which rings have an opcode (5.19). The opcodes follow symbolic links; the variants
    /// that do not go to workers.
    struct RingForm {
        var opcode: UInt8
        /// -1 for a call on a path.
        var descriptor: Int32 = -1
        var path: UInt64 = 0
        var name: UInt64
        var value: UInt64
        var count: UInt32
        var flags: UInt32
    }

    var ringForm: RingForm? {
        let opcode: UInt8
        switch kind {
        case .getxattr: opcode = CK_URING_OP_GETXATTR
        case .fgetxattr: opcode = CK_URING_OP_FGETXATTR
        case .setxattr: opcode = CK_URING_OP_SETXATTR
        case .fsetxattr: opcode = CK_URING_OP_FSETXATTR
        default: return nil
        }
        // The system call rejects a length that does not fit.
        guard let count = UInt32(exactly: fourth) else { return nil }
        var form = RingForm(
            opcode: opcode, name: UInt64(bitPattern: Int64(second)), value: UInt64(bitPattern: Int64(third)),
            count: count, flags: UInt32(bitPattern: fifth))
        if kind == .fgetxattr || kind == .fsetxattr {
            form.descriptor = Int32(truncatingIfNeeded: first)
        } else {
            form.path = UInt64(bitPattern: Int64(first))
        }
        return form
    }
}
