import AIO
import AIOCore
import CKernel
import Testing

@testable import AIOSimulation

/// eventfd, timerfd, children, futexes, FIFOs, and calls that would block.
struct WaitingTests {
    private let world = World(seed: 1)
    private let kernel: SimulatedKernel
    private let caller: Caller

    init() {
        kernel = SimulatedKernel(host: "a", in: world)
        caller = .simulated(kernel)
    }

    private func call(_ number: Int, _ a: Int = 0, _ b: Int = 0, _ c: Int = 0, _ d: Int = 0, _ e: Int = 0) -> Int {
        kernel.answer(SystemCall(number, a, b, c, d, e))
    }

    private func word(_ bytes: [UInt8]) -> UInt64 { bytes.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) } }

    @Test func aReadOfAnEventDescriptorTakesTheSum() {
        let event = call(Int(CK_NR_eventfd2), 2, Int(CK_EFD_NONBLOCK))
        #expect(caller.write(event, [3, 0, 0, 0, 0, 0, 0, 0]) == 8)
        #expect(caller.events(event) == Int(CK_POLLIN | CK_POLLOUT))
        #expect(word(caller.read(event, 8).bytes) == 5)
        #expect(caller.read(event, 8).result == -Int(EAGAIN))
        #expect(caller.read(event, 7).result == -Int(EINVAL))
        #expect(caller.write(event, [UInt8](repeating: 255, count: 8)) == -Int(EINVAL))
    }

    private func setTimer(_ timer: Int, _ first: Nanoseconds, every interval: Nanoseconds = 0, flags: Int32 = 0) -> Int
    {
        var value = ck_itimerspec(interval: ck_timespec(interval), value: ck_timespec(first))
        return withUnsafePointer(to: &value) {
            call(Int(CK_NR_timerfd_settime), timer, Int(flags), Int(bitPattern: $0))
        }
    }

    @Test func aTimerCountsItsExpiriesOnTheVirtualClock() {
        let timer = call(Int(CK_NR_timerfd_create), 1, Int(CK_TFD_NONBLOCK))
        #expect(setTimer(timer, 1_000_000_000, every: 100_000_000) == 0)
        #expect(caller.events(timer) == 0)
        world.runNextEvent()
        #expect(world.now == 2_000_000_000)
        #expect(caller.events(timer) == Int(CK_POLLIN))
        world.advance(to: world.now + 250_000_000)
        #expect(word(caller.read(timer, 8).bytes) == 3)
        #expect(caller.read(timer, 8).result == -Int(EAGAIN))
        world.runNextEvent()
        #expect(world.now == 2_300_000_000)
        #expect(word(caller.read(timer, 8).bytes) == 1)
        #expect(setTimer(timer, 0) == 0)
        #expect(caller.events(timer) == 0)
    }

    @Test func anAbsoluteTimeInThePastHasExpired() {
        let timer = call(Int(CK_NR_timerfd_create), 1, Int(CK_TFD_NONBLOCK))
        #expect(setTimer(timer, 1, flags: CK_TFD_TIMER_ABSTIME) == 0)
        #expect(caller.events(timer) == Int(CK_POLLIN))
        #expect(word(caller.read(timer, 8).bytes) == 1)
    }

    @Test func aBlockedReadIsWokenByAWrite() throws {
        let pipe = caller.pipe(0)
        #expect(caller.read(pipe.read, 10).result == SimulatedKernel.wouldBlock)
        let blockedOn = try #require(kernel.blockedOn.first)
        var isWoken = false
        _ = blockedOn.addWaiter { isWoken = true }
        caller.write(pipe.write, [1])
        #expect(isWoken)
        #expect(caller.read(pipe.read, 10).bytes == [1])
    }

    @Test func aChildIsWaitedForByItsDescriptor() {
        var signals: [Int32] = []
        let child = kernel.children.start(kernel.world.newProcessID()) { signals.append($0) }
        let number = call(Int(CK_NR_pidfd_open), Int(child.process))
        var status = ck_child_status()
        func wait(_ options: Int32) -> Int {
            withUnsafeMutablePointer(to: &status) {
                call(Int(CK_NR_waitid), Int(CK_P_PIDFD), number, Int(bitPattern: $0), Int(options))
            }
        }
        #expect(wait(CK_WEXITED | CK_WNOHANG) == 0)
        #expect(status.process == 0)
        #expect(call(Int(CK_NR_pidfd_send_signal), number, 15) == 0)
        #expect(signals == [15])
        #expect(caller.events(number) == 0)
        child.end(code: CK_CLD_KILLED, status: 15)
        #expect(caller.events(number) & Int(CK_POLLIN) != 0)
        #expect(wait(CK_WEXITED | CK_WNOWAIT) == 0)
        #expect(status.process == child.process && status.code == CK_CLD_KILLED && status.status == 15)
        #expect(wait(CK_WEXITED) == 0)
        #expect(wait(CK_WEXITED) == -Int(ECHILD))
        #expect(call(Int(CK_NR_pidfd_send_signal), number, 15) == -Int(ESRCH))
    }

    @Test func aFutexWaitEndsByAWakeAnotherValueOrTheDeadline() {
        let word = UnsafeMutablePointer<UInt32>.allocate(capacity: 1)
        word.initialize(to: 7)
        defer { word.deallocate() }
        func wait(_ value: Int, _ deadline: Nanoseconds) -> Int {
            var time = ck_timespec(deadline)
            return withUnsafePointer(to: &time) {
                call(
                    Int(CK_NR_futex), Int(bitPattern: word), Int(CK_FUTEX_WAIT_BITSET | CK_FUTEX_PRIVATE), value,
                    Int(bitPattern: $0))
            }
        }
        #expect(wait(8, .max >> 1) == -Int(EAGAIN))
        #expect(wait(7, 0) == -Int(ETIMEDOUT))
        #expect(wait(7, .max >> 1) == SimulatedKernel.wouldBlock)
        let blocked = BlockedCall(kernel)
        #expect(!blocked.isOver)
        #expect(call(Int(CK_NR_futex), Int(bitPattern: word), Int(CK_FUTEX_WAKE | CK_FUTEX_PRIVATE), 1) == 1)
        #expect(blocked.isOver)
        #expect(wait(7, .max >> 1) == 0)
        #expect(call(Int(CK_NR_futex), Int(bitPattern: word), Int(CK_FUTEX_WAKE | CK_FUTEX_PRIVATE), 1) == 0)
    }

    @Test func theOpensOfAFIFOWaitForEachOther() throws {
        let buffer = PipeBuffer()
        #expect(kernel.openFIFO(buffer, flags: CK_O_WRONLY | CK_O_NONBLOCK).result == -Int(ENXIO))
        #expect(kernel.openFIFO(buffer, flags: CK_O_RDONLY).result == SimulatedKernel.wouldBlock)
        let writer = try #require(kernel.openFIFO(buffer, flags: CK_O_WRONLY).description)
        let reader = try #require(kernel.openFIFO(buffer, flags: CK_O_RDONLY).description)
        #expect(writer.readyEvents & CK_POLLOUT != 0)
        writer.lastClose()
        #expect(reader.readyEvents & CK_POLLHUP != 0)
        reader.lastClose()
    }

    @Test func aFIFOIsOpenedByItsName() {
        let path: StaticString = "/tmp/fifo"
        let address = Int(bitPattern: path.utf8Start)
        #expect(call(Int(CK_NR_mknodat), Int(CK_AT_FDCWD), address, Int(CK_S_IFIFO | 0o600)) == 0)
        func open(_ flags: UInt64) -> Int {
            var how = ck_open_how(flags: flags, mode: 0, resolve: 0)
            return withUnsafePointer(to: &how) {
                call(
                    Int(CK_NR_openat2), Int(CK_AT_FDCWD), address, Int(bitPattern: $0), MemoryLayout<ck_open_how>.size)
            }
        }
        #expect(open(CK_O_WRONLY | CK_O_NONBLOCK) == -Int(ENXIO))
        #expect(open(CK_O_RDONLY) == SimulatedKernel.wouldBlock)
        let writer = open(CK_O_WRONLY)
        let reader = open(CK_O_RDONLY)
        #expect(caller.write(writer, [1, 2]) == 2)
        #expect(caller.read(reader, 10).bytes == [1, 2])
        caller.close(writer)
        #expect(caller.read(reader, 10).result == 0)
        caller.close(reader)
    }

    @Test func aReaderOfAFIFOSeesNoHangUpBeforeTheFirstWriter() throws {
        let buffer = PipeBuffer()
        let reader = try #require(kernel.openFIFO(buffer, flags: CK_O_RDONLY | CK_O_NONBLOCK).description)
        #expect(reader.readyEvents == 0)
        let writer = try #require(kernel.openFIFO(buffer, flags: CK_O_WRONLY).description)
        writer.lastClose()
        #expect(reader.readyEvents == CK_POLLHUP)
    }

    @Test func anOpenOfAFIFOThatIsGivenUpNoLongerCounts() {
        let buffer = PipeBuffer()
        #expect(kernel.openFIFO(buffer, flags: CK_O_RDONLY).result == SimulatedKernel.wouldBlock)
        kernel.abandonFIFOOpen(buffer, flags: CK_O_RDONLY)
        #expect(kernel.openFIFO(buffer, flags: CK_O_WRONLY | CK_O_NONBLOCK).result == -Int(ENXIO))
    }

    @Test func aSocketInTheFileSystemIsFoundByItsName() {
        let path = SocketAddress.unix("/tmp/x")
        let listener = caller.socket(CK_AF_UNIX, CK_SOCK_STREAM)
        #expect(caller.connect(listener, path) == -Int(ENOENT))
        #expect(caller.bind(listener, path) == 0)
        #expect(caller.listen(listener, 1) == 0)
        let client = caller.socket(CK_AF_UNIX, CK_SOCK_STREAM)
        #expect(caller.connect(client, path) == 0)
        #expect(caller.peerName(client).name == path)
        let second = caller.socket(CK_AF_UNIX, CK_SOCK_STREAM)
        #expect(caller.bind(second, path) == -Int(EADDRINUSE))
        caller.close(listener)
        #expect(caller.connect(second, path) == -Int(ECONNREFUSED))
    }
}
