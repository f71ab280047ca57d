internal import AIOCore
internal import CKernel

/// Standard input, output or error of a host's process, as a pipe. Standard input is at its end; what is written goes
/// to the host's output.
final class StandardStream: StreamDescription {
    private let number: Int

    init(_ kernel: SimulatedKernel, number: Int) {
        self.number = number
        super.init(kernel, flags: number == 0 ? CK_O_RDONLY : CK_O_WRONLY)
    }

    override var name: String { ["stdin", "stdout", "stderr"][number] }
    override var fileType: UInt16 { CK_S_IFIFO }
    override var readyEvents: UInt32 { number == 0 ? CK_POLLHUP : CK_POLLOUT }

    override func read(_ target: inout ReadTarget, withoutWaiting: Bool) -> Int { 0 }

    override func write(_ source: inout WriteSource, withoutWaiting: Bool) -> Int {
        let bytes = source.take(source.remaining)
        kernel.output += bytes
        return bytes.count
    }
}
