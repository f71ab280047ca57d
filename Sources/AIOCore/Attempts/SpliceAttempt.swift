internal import CKernel

extension Splice {
    /// On a worker, without waiting: EAGAIN if there is nothing to move, `outputIsFull` if there is no room for it. A
    /// stream without O_NONBLOCK would have splice(2) wait for the other end in spite of SPLICE_F_NONBLOCK, so both ends
    /// are asked before.
    func result(isTee: Bool) -> Int {
        guard Kernel.readyEvents(input.number, CK_POLLIN) != 0 else { return -Int(EAGAIN) }
        guard Kernel.readyEvents(output.number, CK_POLLOUT) != 0 else { return Self.outputIsFull }
        let flags = flags | CK_SPLICE_F_NONBLOCK
        let result =
            isTee
            ? Kernel.tee(input.number, output.number, Int(count), flags)
            : Kernel.splice(input.number, inputOffset, output.number, outputOffset, Int(count), flags)
        return result == -Int(EAGAIN) ? Self.outputIsFull : result
    }

    /// For the queue alone, which makes EAGAIN of it: beyond all errnos, which end at 4095.
    static var outputIsFull: Int { -4096 - Int(EAGAIN) }
}
