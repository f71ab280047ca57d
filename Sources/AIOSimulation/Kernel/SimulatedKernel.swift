package import AIOCore
internal import CKernel

/// The kernel of one simulated host, with one process: answers the system calls that reach `Kernel.call` on the
/// simulation's thread.
///
/// Each family of calls is an extension in the folder of its subject, with a function that answers the calls that it
/// knows: `answerFileCall` in Files, `answerStreamCall` in Streams.
package final class SimulatedKernel {
    package let host: String
    let world: World
    var descriptors = DescriptorTable()
    /// For the calls on streams.
    let streams = StreamHost()
    /// The host's addresses, ports and sockets.
    private(set) lazy var node = world.network.addHost(self)

    package init(host: String, in world: World) {
        self.host = host
        self.world = world
    }

    /// The result of a call that would block its thread. No real call returns it: the kernel itself uses the number
    /// (ERESTARTSYS) for calls that are to be repeated. The simulated engine repeats the operation after a change.
    static let wouldBlock = -512

    /// The calls that would block are noted here, for the engine: what has to change before a repetition makes sense.
    var blockedOn: OpenDescription?

    package func answer(_ call: SystemCall) -> Int {
        answerFileCall(call) ?? answerStreamCall(call) ?? answerOtherCall(call)
    }

    /// A call that no family knows.
    private func answerOtherCall(_ call: SystemCall) -> Int {
        switch call.number {
        // Memory and identity are the process's own.
        case Int(CK_NR_mmap), Int(CK_NR_madvise), Int(CK_NR_geteuid), Int(CK_NR_gettid):
            return call.executed()
        default: return -Int(ENOSYS)
        }
    }

    func note(_ what: @autoclosure () -> String) { world.trace.note(world.now, host, what()) }
}
