internal import CKernel

/// Pipes, and zero-copy transfers through them.
extension Kernel {
    /// pipe2(2): the read end, then the write end.
    public static func pipe(_ ends: UnsafeMutablePointer<(Int32, Int32)>, _ flags: Int32) -> Int {
        call(CK_NR_pipe2, address(ends), Int(flags))
    }

    /// fcntl(2) with F_SETPIPE_SZ: requests this capacity. Returns the resulting one.
    public static func setPipeSize(_ pipe: Int32, _ size: Int) -> Int {
        call(CK_NR_fcntl, Int(pipe), Int(CK_F_SETPIPE_SZ), size)
    }

    /// splice(2). An offset of -1 is the descriptor's position, the only choice for a pipe.
    static func splice(
        _ input: Int32, _ inputOffset: Int64, _ output: Int32, _ outputOffset: Int64, _ count: Int, _ flags: UInt32
    ) -> Int {
        var from = inputOffset
        var to = outputOffset
        return withUnsafeMutablePointer(to: &from) { from in
            withUnsafeMutablePointer(to: &to) { to in
                call(
                    CK_NR_splice, Int(input), inputOffset < 0 ? 0 : address(from), Int(output),
                    outputOffset < 0 ? 0 : address(to), count, Int(flags))
            }
        }
    }

    /// tee(2).
    static func tee(_ input: Int32, _ output: Int32, _ count: Int, _ flags: UInt32) -> Int {
        call(CK_NR_tee, Int(input), Int(output), count, Int(flags))
    }
}
