import AIOCore
import CKernel

/// The kernel's Linux AIO: io_submit(2) and io_getevents(2), by system calls.
final class LinuxAIO: Contestant, SubmissionInterface {
    let name: String
    private let isDirect: Bool
    private let depth: Int
    private let memory: BlockMemory
    private var descriptor: OpenDescriptor?
    private var context: UInt = 0
    private let blocks: UnsafeMutablePointer<ck_iocb>
    private let staged: UnsafeMutablePointer<UnsafeMutablePointer<ck_iocb>?>
    private var stagedCount = 0
    private let events: UnsafeMutablePointer<ck_io_event>

    init(_ plan: Plan, _ memory: BlockMemory, direct: Bool) {
        name = direct && !plan.isDirect ? "Linux AIO, O_DIRECT" : "Linux AIO"
        isDirect = direct
        depth = plan.depth
        self.memory = memory
        blocks = .allocate(capacity: depth)
        staged = .allocate(capacity: depth)
        events = .allocate(capacity: depth)
    }

    deinit {
        blocks.deallocate()
        staged.deallocate()
        events.deallocate()
    }

    func open(_ file: TestFile) throws {
        descriptor = try file.reopen(direct: isDirect)
        let result = Kernel.linuxAIOSetup(UInt32(depth), &context)
        guard result >= 0 else {
            let advice = result == -Int(EAGAIN) ? " (the limit is in /proc/sys/fs/aio-max-nr)" : ""
            throw Failure("io_setup of \(depth) operations\(advice)", result: result)
        }
    }

    func close() {
        // io_destroy(2) waits for the operations in flight.
        if context != 0 { Kernel.linuxAIODestroy(context) }
        context = 0
        stagedCount = 0
        descriptor = nil
    }

    func run(_ turn: Turn, _ recorder: Recorder) throws {
        var window = SlidingWindow(self, depth: depth, memory: memory, turn: turn, recorder: recorder)
        try window.run()
    }

    func stage(_ transfer: SlotTransfer) {
        guard let number = descriptor?.number else { return }
        var block = ck_iocb()
        block.data = UInt64(transfer.slot)
        block.opcode = transfer.isWrite ? CK_IOCB_CMD_PWRITE : CK_IOCB_CMD_PREAD
        block.descriptor = UInt32(bitPattern: number)
        block.address = UInt64(UInt(bitPattern: transfer.memory))
        block.count = UInt64(transfer.count)
        block.offset = Int64(transfer.offset)
        blocks[transfer.slot] = block
        staged[stagedCount] = blocks + transfer.slot
        stagedCount += 1
    }

    func submit(_ recorder: Recorder) throws {
        var done = 0
        while done < stagedCount {
            let start = Kernel.now()
            let result = Kernel.linuxAIOSubmit(context, stagedCount - done, staged + done)
            recorder.callReturned(after: Kernel.now() &- start)
            guard result > 0 else { throw Failure("io_submit", result: result) }
            done += result
        }
        stagedCount = 0
    }

    func collect(_ body: (_ slot: Int, _ result: Int) -> Void) throws {
        var result = -Int(EINTR)
        while result == -Int(EINTR) { result = Kernel.linuxAIOGetEvents(context, 1, depth, events, nil) }
        guard result > 0 else { throw Failure("io_getevents", result: result) }
        for index in 0..<result { body(Int(events[index].data), Int(events[index].result)) }
    }
}
