internal import AIOCore
internal import DropInSupport
internal import Synchronization

/// The end of a context.
extension Context {
    /// io_destroy(2): refuses new calls, cancels operations that wait, lets the others finish, and waits for all of
    /// them.
    ///
    /// The caller is inside the context. False if another thread is destroying it already.
    func destroy(_ library: UnsafeMutablePointer<Library>) -> Bool {
        let known = address.pointee.load(ordering: .sequentiallyConsistent)
        // If the program has moved the ring, the old address is no longer valid, and may belong to other memory.
        guard known != 0, isRing(at: known) else { return false }
        // Under the lock, so that the context does not switch to the loop meanwhile.
        state.pointee.lock.lock()
        let isFirst = address.pointee.compareExchange(
            expected: known, desired: 0, ordering: .sequentiallyConsistent
        ).exchanged
        let wasNative = isNative
        state.pointee.lock.unlock()
        guard isFirst else { return false }
        if wasNative {
            // Waits for the operations in flight, and wakes the threads that wait for events.
            Kernel.linuxAIODestroy(known)
        } else {
            if let loop = library.pointee.runningLoop() {
                // Accepted writes are carried out: with the kernel's own Linux AIO, io_submit would have done them.
                while requestCancel(library, loop, where: { !$0.pointee.operation.isWrite }) {}
                stopTicking(loop)
            }
        }
        leave(1)
        // Signals are blocked so that no handler leaves by siglongjmp(3). The kernel's wait is not interruptible
        // either.
        Kernel.withSignalsBlocked {
            while true {
                let count = references.pointee.load(ordering: .sequentiallyConsistent)
                if count == 1 { break }
                _ = Kernel.futexWait(references, while: count, until: .never)
            }
        }
        assert(state.pointee.inFlightCount == 0, "the context ends with operations in flight")
        assert(!state.pointee.isTicking, "the context ends with its timer running")
        if !wasNative {
            keepLastEvents()
            endRing(programAddress: known)
        }
        // From here on a thread that wakes up finds that its context has ended.
        state.pointee.lives.pointee.wrappingAdd(1, ordering: .sequentiallyConsistent)
        if !wasNative { dismissWaiters() }
        library.pointee.table.recycle(self)
        return true
    }

    /// Keeps the untaken events for threads that sleep, including those in the kernel, which look once more.
    private func keepLastEvents() {
        state.pointee.lock.lock()
        defer { state.pointee.lock.unlock() }
        if let ring = state.pointee.ring { state.pointee.lastEvents.keep(ring, life) }
    }

    /// Unmaps the ring. No thread is inside the context.
    private func endRing(programAddress: UInt) {
        assert(!isAlive, "the ring of a context in use is unmapped")
        let kernelAddress = state.pointee.kernelAddress
        let ring = state.pointee.ring
        state.pointee.ring = nil
        if kernelAddress == programAddress {
            // The kernel unmaps the memory at its ring's address, which is the program's mapping of the library's ring.
            Kernel.linuxAIODestroy(kernelAddress)
            ring?.unmap()
        } else {
            // The program has moved the ring. The kernel's context can no longer be found, and ends with the process.
            ring?.unmap(programAddress: programAddress)
        }
    }

    private func dismissWaiters() {
        state.pointee.lock.lock()
        let waiters = state.pointee.waiters
        state.pointee.news.change()
        state.pointee.lock.unlock()
        state.pointee.news.wakeSleepers()
        if waiters.maskedCount > 0 { Kernel.wake(waiters.descriptor) }
    }
}
