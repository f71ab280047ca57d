import AIOCore
import CPosixAIO
import Glibc

/// glibc's POSIX AIO: aio_read(3), aio_suspend(3), aio_error(3) and aio_return(3), on one descriptor.
final class PosixAIO: Contestant, SubmissionInterface {
    let name = "POSIX AIO (glibc)"
    private let isDirect: Bool
    private let depth: Int
    private let memory: BlockMemory
    private var descriptor: OpenDescriptor?
    private let blocks: UnsafeMutablePointer<aiocb>
    private var staged: [SlotTransfer] = []
    /// The control blocks in flight, densely packed, for aio_suspend.
    private let pending: UnsafeMutablePointer<UnsafePointer<aiocb>?>
    private var pendingCount = 0

    init(_ plan: Plan, _ memory: BlockMemory) {
        isDirect = plan.isDirect
        depth = plan.depth
        self.memory = memory
        blocks = .allocate(capacity: depth)
        blocks.initialize(repeating: aiocb(), count: depth)
        pending = .allocate(capacity: depth)
        staged.reserveCapacity(depth)
    }

    deinit {
        blocks.deallocate()
        pending.deallocate()
    }

    func open(_ file: TestFile) throws { descriptor = try file.reopen(direct: isDirect) }

    func close() {
        while pendingCount > 0 { try? collect { _, _ in } }
        staged.removeAll()
        descriptor = nil
    }

    func run(_ turn: Turn, _ recorder: Recorder) throws {
        var window = SlidingWindow(self, depth: depth, memory: memory, turn: turn, recorder: recorder)
        try window.run()
    }

    func stage(_ transfer: SlotTransfer) { staged.append(transfer) }

    func submit(_ recorder: Recorder) throws {
        guard let number = descriptor?.number else { return }
        for transfer in staged {
            let block = blocks + transfer.slot
            block.pointee.aio_fildes = number
            block.pointee.aio_buf = UnsafeMutableRawPointer(transfer.memory)
            block.pointee.aio_nbytes = transfer.count
            block.pointee.aio_offset = transfer.offset
            block.pointee.aio_sigevent.sigev_notify = Int32(SIGEV_NONE)
            let start = Kernel.now()
            let result = transfer.isWrite ? aio_write(block) : aio_read(block)
            recorder.callReturned(after: Kernel.now() &- start)
            guard result == 0 else {
                throw Failure(transfer.isWrite ? "aio_write" : "aio_read", result: -Int(errno))
            }
            pending[pendingCount] = UnsafePointer(block)
            pendingCount += 1
        }
        staged.removeAll(keepingCapacity: true)
    }

    func collect(_ body: (_ slot: Int, _ result: Int) -> Void) throws {
        while aio_suspend(pending, Int32(pendingCount), nil) != 0 {
            guard errno == EINTR else { throw Failure("aio_suspend", result: -Int(errno)) }
        }
        var index = 0
        while index < pendingCount {
            guard let block = pending[index], aio_error(block) != EINPROGRESS else {
                index += 1
                continue
            }
            let slot = block - UnsafePointer(blocks)
            let error = aio_error(block)
            let result = aio_return(blocks + slot)
            body(slot, error == 0 ? result : -Int(error))
            pendingCount -= 1
            pending[index] = pending[pendingCount]
        }
    }
}
