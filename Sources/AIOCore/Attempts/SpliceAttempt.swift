internal import CKernel

extension Splice {
    /// Executes the call on a worker without waiting: -EAGAIN if the input has no data, `outputIsFull` if the output
    /// has no room. On a stream without O_NONBLOCK, splice(2) blocks despite SPLICE_F_NONBLOCK, so both ends are polled
    /// first.
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

    /// For the queue only, which converts it to EAGAIN. Outside of the range of errnos, which end at 4095.
    static var outputIsFull: Int { -4096 - Int(EAGAIN) }
}
