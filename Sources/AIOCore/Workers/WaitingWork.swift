internal import CKernel
internal import Synchronization

/// System calls that wait until another party comes, and know no other way: to open a FIFO whose other end nobody has, a
/// terminal without carrier, or to read what can only be read by waiting.
///
/// Each has a thread of its own, so that none holds a worker that files need; and a cancel interrupts it by a signal to that
/// thread, upon which the system call ends with EINTR as if nothing had been. So open(2) is exactly what it is elsewhere: a
/// reader counts as one while it waits, and no longer.
extension WorkerPool {
    /// Under the lock: wakes nobody, since these threads go when they have nothing to do.
    func callWaitingWorkers() {
        while state.pointee.waitingStarting < state.pointee.waiting.count, state.pointee.waitingThreads < limit {
            guard Kernel.startThread(WaitingWorker(self)) == 0 else {
                shortage.store(true, ordering: .relaxed)
                return
            }
            state.pointee.waitingThreads += 1
            state.pointee.waitingStarting += 1
        }
    }

    /// Under the lock: what a worker has found to be of this kind.
    func queueAsWaiting(_ slot: Int) {
        items[slot].isWaiting = true
        guard !items[slot].isCancelRequested else {
            items[slot].state = .idle
            return finish(slot, -Int(ECANCELED))
        }
        items[slot].state = .queued
        state.pointee.waiting.append(slot, items)
        callWaitingWorkers()
    }

    /// The life of a thread for these.
    fileprivate func runWaiting() {
        Kernel.nameThread("aio-waiting")
        lock.lock()
        state.pointee.waitingStarting -= 1
        while let slot = state.pointee.waiting.popFirst(items) { runInterruptibly(slot) }
        state.pointee.waitingThreads -= 1
        // Whoever shuts down counts the threads.
        condition.broadcast()
        lock.unlock()
    }

    /// Under the lock, which it gives up meanwhile.
    private func runInterruptibly(_ slot: Int) {
        let operation = items[slot].operation
        items[slot].state = .running
        items[slot].thread = Kernel.threadID()
        var result = 0
        repeat {
            lock.unlock()
            result = Interruption.allowed { operation.blockingResult() }
            lock.lock()
            // Interrupted by somebody else, it goes on.
        } while result == -Int(EINTR) && !items[slot].isCancelRequested
        items[slot].thread = 0
        finish(slot, result)
    }

    /// Under the lock, which it gives up meanwhile: interrupts a thread that waits. A signal that comes just before the thread
    /// begins to wait is lost, so there is another until it has ended its waiting, which takes some microseconds mostly.
    func interrupt(_ item: UnsafeMutablePointer<WorkItem>, _ token: Token) {
        for attempt in 0..<Self.interruptions {
            guard item.pointee.token == token, item.pointee.thread != 0 else { return }
            Interruption.interrupt(item.pointee.thread)
            lock.unlock()
            if attempt < 8 { Kernel.yieldThread() } else { Kernel.sleep(until: Kernel.now() &+ 50_000) }
            lock.lock()
        }
    }

    private static var interruptions: Int { 100 }
}

private final class WaitingWorker: ThreadBody {
    private let pool: WorkerPool

    init(_ pool: WorkerPool) { self.pool = pool }

    override func run() { pool.runWaiting() }
}

extension Operation {
    /// Whether it is known to be of this kind.
    var isWaitingWork: Bool {
        switch self {
        case .read(let transfer), .write(let transfer), .readVectored(let transfer), .writeVectored(let transfer):
            transfer.descriptor.kind == .stream
        case .socket(.accept): true
        default: false
        }
    }

    /// On a worker: whether it is an open that waits for another party, since it is of a FIFO, a terminal or another
    /// character device. The file is looked at first; one that takes its name in between holds a worker.
    func opensWhatWaits() -> Bool {
        guard case .open(let directory, let path, let how) = self, mayOpenWhatWaits else { return false }
        var status = ck_statx()
        let follows: Int32 = how.pointee.flags & CK_O_NOFOLLOW != 0 ? CK_AT_SYMLINK_NOFOLLOW : 0
        let flags = follows | CK_AT_STATX_DONT_SYNC | CK_AT_NO_AUTOMOUNT
        guard Kernel.statx(directory, path, flags, CK_STATX_TYPE, &status) == 0 else { return false }
        // The devices of number 1 are memory: /dev/null and its like.
        let isMemory = status.special_device_major == 1
        return switch status.mode & CK_S_IFMT {
        case CK_S_IFIFO: true
        case CK_S_IFCHR: !isMemory
        default: false
        }
    }

    /// Whether it is an open that waits, if the file is one of those.
    var mayOpenWhatWaits: Bool {
        guard case .open(_, _, let how) = self else { return false }
        return how.pointee.flags & (CK_O_NONBLOCK | CK_O_DIRECTORY | CK_O_PATH) == 0
    }
}
