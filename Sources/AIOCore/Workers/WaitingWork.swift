internal import CKernel
internal import Synchronization

/// System calls that block until another party acts, and cannot be polled for: opening a FIFO without a peer or a
/// terminal without carrier, reading a file that supports blocking reads only.
///
/// Each has a thread of its own, so that none occupies a worker that files need. A cancel interrupts it by a signal to
/// that thread, upon which the system call ends with EINTR and without effect. open(2) thus behaves as it does
/// elsewhere: a reader of a FIFO counts as one while it waits, and no longer.
extension WorkerPool {
    /// Under the lock: starts a thread for each item that lacks one. Nobody is woken, since these threads exit when
    /// they are idle.
    func callWaitingWorkers() {
        assert(lock.isHeld)
        while state.pointee.waitingStarting < state.pointee.waiting.count, state.pointee.waitingThreads < limit {
            guard Kernel.startThread(WaitingWorker(self)) == 0 else {
                shortage.store(true, ordering: .relaxed)
                return
            }
            state.pointee.waitingThreads += 1
            state.pointee.waitingStarting += 1
        }
    }

    /// Under the lock: moves an item that a worker identified as waiting work.
    func queueAsWaiting(_ slot: Int) {
        assert(lock.isHeld)
        assert(items[slot].state == .running, "the item was not taken")
        items[slot].isWaiting = true
        guard !items[slot].isCancelRequested else {
            items[slot].state = .idle
            return finish(slot, -Int(ECANCELED))
        }
        items[slot].state = .queued
        state.pointee.waiting.append(slot, items)
        callWaitingWorkers()
    }

    /// The main function of a thread for waiting work.
    fileprivate func runWaiting() {
        Kernel.nameThread(.waiting)
        lock.lock()
        assert(state.pointee.waitingStarting > 0, "a thread that was not counted")
        state.pointee.waitingStarting -= 1
        while let slot = state.pointee.waiting.popFirst(items) { runInterruptibly(slot) }
        assert(state.pointee.waitingThreads > state.pointee.waitingStarting, "a thread that was not counted")
        state.pointee.waitingThreads -= 1
        // `shutDown` counts the threads.
        condition.broadcast()
        lock.unlock()
    }

    /// Under the lock, which is released while the call runs.
    private func runInterruptibly(_ slot: Int) {
        assert(lock.isHeld)
        assert(items[slot].state == .queued && items[slot].thread == 0, "the item was taken from no list")
        let operation = items[slot].operation
        items[slot].state = .running
        items[slot].thread = Kernel.threadID()
        var result = 0
        repeat {
            lock.unlock()
            result = Interruption.allowed { operation.blockingResult() }
            lock.lock()
            // An unrelated signal: retry.
        } while result == -Int(EINTR) && !items[slot].isCancelRequested
        items[slot].thread = 0
        finish(slot, result)
    }

    /// Under the lock, which is released in between: interrupts a thread that blocks. A signal just before the system
    /// call is lost, so it is repeated until the thread has stopped waiting, mostly within microseconds.
    func interrupt(_ item: UnsafeMutablePointer<WorkItem>, _ token: Token) {
        assert(lock.isHeld)
        for attempt in 0..<Self.interruptions {
            guard item.pointee.token == token, item.pointee.thread != 0 else { return }
            Interruption.interrupt(item.pointee.thread)
            lock.unlock()
            if attempt < 8 { Kernel.yieldThread() } else { Kernel.sleep(until: Kernel.now() &+ 50_000) }
            lock.lock()
        }
    }

    /// With the pauses some 5 ms in all.
    private static var interruptions: Int { 100 }
}

private final class WaitingWorker: ThreadBody {
    private let pool: WorkerPool

    init(_ pool: WorkerPool) { self.pool = pool }

    override func run() { pool.runWaiting() }
}

extension Operation {
    /// Whether the operation is known to be waiting work.
    var isWaitingWork: Bool {
        if case .socket(.accept) = self { return true }
        return transfer.map { $0.descriptor.kind == .stream } ?? false
    }

    /// On a worker: whether the operation is an open that waits for another party, because the file is a FIFO, a
    /// terminal or another character device. Checked beforehand by statx(2) (TOCTOU): a file that takes over the name
    /// in between occupies a worker.
    func opensWhatWaits() -> Bool {
        guard case .open(let directory, let path, let how) = self, mayOpenWhatWaits else { return false }
        var status = ck_statx()
        let follows: Int32 = how.pointee.flags & CK_O_NOFOLLOW != 0 ? CK_AT_SYMLINK_NOFOLLOW : 0
        let flags = follows | CK_AT_STATX_DONT_SYNC | CK_AT_NO_AUTOMOUNT
        guard Kernel.statx(directory, path, flags, CK_STATX_TYPE, &status) == 0 else { return false }
        // Character devices with major number 1 are memory devices: /dev/null and the like.
        let isMemory = status.special_device_major == 1
        return switch status.mode & CK_S_IFMT {
        case CK_S_IFIFO: true
        case CK_S_IFCHR: !isMemory
        default: false
        }
    }

    /// Whether the operation is an open that waits if the file is of such a type.
    var mayOpenWhatWaits: Bool {
        guard case .open(_, _, let how) = self else { return false }
        return how.pointee.flags & (CK_O_NONBLOCK | CK_O_DIRECTORY | CK_O_PATH) == 0
    }
}
