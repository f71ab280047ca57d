package import AIOCore
internal import CKernel
internal import FaultInjection

/// The kernel of a simulated host as one process sees it: answers the system calls that reach `Kernel.call` on the
/// simulation's thread.
///
/// Each family of calls is an extension in the folder of its subject, with a function that answers the calls that it
/// knows: `answerFileCall` in Files, `answerStreamCall` in Streams.
package final class SimulatedKernel {
    package let host: String
    let world: World
    /// What the process wrote to standard output and standard error.
    var output: [UInt8] = []
    /// What goes wrong.
    var faults = FaultRules()
    /// What went wrong.
    var faultLog = FaultLog()
    var descriptors: DescriptorTable
    package let fileSystem: SimulatedFileSystem
    var workingDirectory: Directory
    var umask: UInt16 = 0o022
    /// For the calls on streams.
    let streams: StreamHost
    var children = ChildTable()
    /// Whether the process has ended: what its tasks still do has no effect.
    private(set) var isDead = false
    /// The host's addresses, ports and sockets.
    private(set) lazy var node = world.network.addHost(self)

    /// Without a file system, the host has a new one.
    package init(host: String, in world: World, fileSystem: SimulatedFileSystem? = nil) {
        self.host = host
        self.world = world
        let fileSystem = fileSystem ?? SimulatedFileSystem(in: world)
        self.fileSystem = fileSystem
        workingDirectory = fileSystem.root
        streams = StreamHost()
        descriptors = DescriptorTable(OpenFileCount())
        descriptors.standard = (0...2).map { StandardStream(self, number: $0) }
    }

    /// That of another process of the same host, which has `numbers` of its parent's descriptors and its standard
    /// streams. EBADF if one of them is not open.
    init(process name: String, of parent: SimulatedKernel, passing numbers: [Int32]) throws(CallError) {
        host = name
        world = parent.world
        fileSystem = parent.fileSystem
        workingDirectory = parent.workingDirectory
        umask = parent.umask
        streams = parent.streams
        descriptors = DescriptorTable(parent.descriptors.files)
        descriptors.limit = parent.descriptors.limit
        descriptors.standard = parent.descriptors.standard
        for number in numbers where number > 2 {
            guard let description = parent.descriptors[Int(number)] else { throw CallError(EBADF) }
            _ = descriptors.replace(Int(number), by: description, closesOnExec: false)
        }
        node = parent.node
    }

    /// Whether the process can do nothing any more.
    var isOff: Bool { world.isOff || isDead }

    /// The process ends: its files are closed, but for those of its engines, which end by themselves.
    func die() {
        guard !isDead else { return }
        isDead = true
        for number in descriptors.numbers {
            switch descriptors[Int(number)] {
            case is SimulatedEpoll, is EventDescription, is TimerDescription: break
            default: _ = descriptors.remove(Int(number))
            }
        }
        world.network.deliverLoopback()
    }

    /// The result of a call that would block its thread: the operation is executed again after a change.
    static var wouldBlock: Int { KernelStandIn.wouldBlock }

    /// What the last call that would have blocked waits for.
    var blockedOn: [OpenDescription] {
        get { world.blockedOn }
        set { world.blockedOn = newValue }
    }
    /// What has to happen if the last call that would have blocked is not made again; nil for nothing.
    var giveUp: (() -> Void)? {
        get { world.giveUp }
        set { world.giveUp = newValue }
    }
    /// The call that is about to be made again after it hung; nil for none.
    var resumed: HungCall?
    /// Whether a description has ever stalled.
    var hasStalls = false
    var stalledCalls = StalledCalls()

    /// Answers a call, and notes it in the trace.
    package func answer(_ call: SystemCall) -> Int {
        // Memory and identity are the process's own, and their numbers differ from run to run.
        guard !Self.isOfProcess(call.number) else { return call.executed() }
        guard !CallDescriptions.isOfEngine(call.number) else { return perform(call) }
        world.countCall()
        // The power is off, or the process has ended: what it still does has no effect.
        guard !isOff else {
            guard call.number == CK_NR_close else { return -Int(EIO) }
            return isDead && descriptors[call.a] == nil ? 0 : perform(call)
        }
        let line = world.trace.keepsLines ? CallDescriptions.line(call, self) : ""
        let result = performWithFaults(call)
        world.trace.note(world.now, call.number, result)
        world.trace.show(world.now, host, "\(line) = \(isHanging(result) ? "hangs" : CallDescriptions.result(result))")
        return result
    }

    /// Whether the result of the last call says that it hangs.
    func isHanging(_ result: Int) -> Bool { result == Self.wouldBlock && blockedOn.first is HungCall }

    func perform(_ call: SystemCall) -> Int {
        let call = CallDescriptions.withoutBadAddresses(call)
        giveUp = nil
        return answerEpollCall(call) ?? answerFileCall(call) ?? answerStreamCall(call) ?? -Int(ENOSYS)
    }

    /// Whether no memory can be at an address, other than 0.
    static func isNowhere(_ address: UInt) -> Bool { (1..<65_536).contains(address) }

    private static func isOfProcess(_ number: Int) -> Bool {
        switch number {
        case CK_NR_mmap, CK_NR_madvise, CK_NR_geteuid, CK_NR_gettid, CK_NR_getpid, CK_NR_rt_sigprocmask,
            CK_NR_getuid, CK_NR_mremap, CK_NR_process_vm_readv, CK_NR_uname, CK_NR_sched_getaffinity,
            CK_NR_rt_sigpending:
            true
        default: false
        }
    }

    func note(_ what: @autoclosure () -> String) { world.trace.note(world.now, host, what()) }
}
