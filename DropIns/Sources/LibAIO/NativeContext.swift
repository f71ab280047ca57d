internal import AIOCore
internal import CDropIns
internal import CKernel
internal import DropInSupport

/// A context of the kernel's own behind one of ours. Direct I/O is what Linux AIO does well: it neither needs a thread
/// nor blocks one, so it goes straight to the kernel, at the kernel's price, as long as a context has nothing else to
/// do. With the first operation of another kind the context turns to the loop for good.
///
/// Used under the context's lock.
struct NativeContext: BitwiseCopyable {
    /// The kernel's name for it.
    let id: UInt
    var inFlightCount = 0
    /// Threads in the kernel's io_getevents, and those that a signal handler took elsewhere from there; and the most
    /// that one of them waits for.
    var waiterCount = 0
    var wanted = 0
    /// Counts the calls that took events, or tried to, so that one can tell whether the program makes any.
    var reapCount: UInt32 = 0
    var submitCount: UInt32 = 0

    /// nil where the kernel gives none: its limit is reached, or Linux AIO is not allowed.
    init?(depth: UInt32) {
        var id: UInt = 0
        guard Kernel.linuxAIOSetup(depth, &id) == 0 else { return nil }
        self.id = id
    }

    /// Hands operations to the kernel. Returns how many it took, or why not even the first.
    func submit(_ blocks: UnsafeMutableBufferPointer<UnsafeMutablePointer<ck_iocb>?>) -> Int {
        guard let base = blocks.baseAddress else { return 0 }
        return Kernel.linuxAIOSubmit(id, blocks.count, base)
    }

    /// The most events that a thread waits for at once, whatever it wants: so many let it go.
    static var waitMax: Int { 16 }

    /// Makes the threads that wait in the kernel return: polls of what is ready are events. As far as the kernel has
    /// room for them: the ticker does it again as long as one waits.
    func dismissWaiters() {
        guard waiterCount > 0 else { return }
        let made = Kernel.eventDescriptor()
        guard made >= 0 else { return }
        let event = Int32(made)
        Kernel.wake(event)
        var block = ck_iocb()
        block.opcode = CK_IOCB_CMD_POLL
        block.descriptor = UInt32(bitPattern: event)
        block.address = UInt64(CK_POLLIN)
        withUnsafeMutablePointer(to: &block) { block in
            var pointer: UnsafeMutablePointer<ck_iocb>? = block
            // Each waits for `wanted` at most, and may take them from another.
            for _ in 0..<(waiterCount * max(wanted, 1)) where Kernel.linuxAIOSubmit(id, 1, &pointer) != 1 { break }
        }
        Kernel.close(event)
    }
}

/// How a context's operations are carried out.
enum ContextMode: UInt8, BitwiseCopyable {
    /// Nothing was submitted yet.
    case undecided
    /// All of it is direct I/O, and the kernel's.
    case native
    /// By the loop.
    case loop
}

// MARK: Submitting

extension Context {
    /// Under the lock: whether `number` was found open for direct I/O not long ago, in a context where that means the
    /// kernel.
    func isKnownDirect(_ number: Int32) -> Bool {
        guard state.pointee.directNumber == number, state.pointee.mode == .native, state.pointee.directCredit > 0
        else { return false }
        state.pointee.directCredit -= 1
        return true
    }

    func noteDirect(_ number: Int32) {
        state.pointee.lock.lock()
        state.pointee.directNumber = number
        state.pointee.directCredit = 64
        state.pointee.lock.unlock()
    }

    /// Whether direct transfers go to the kernel. The first that does makes the kernel's context.
    func isNative(_ library: UnsafeMutablePointer<Library>) -> Bool {
        state.pointee.lock.lock()
        defer { state.pointee.lock.unlock() }
        guard state.pointee.mode == .undecided else { return state.pointee.mode == .native }
        state.pointee.mode = .loop
        guard library.pointee.usesNative, let native = NativeContext(depth: state.pointee.ring?.capacity ?? 1) else {
            return false
        }
        state.pointee.native = native
        state.pointee.mode = .native
        return true
    }

    /// Hands direct transfers to the kernel, in order. Returns how many it took, or why not even the first.
    func submitNative(_ blocks: UnsafeMutableBufferPointer<UnsafeMutablePointer<ck_iocb>?>) -> Int {
        state.pointee.lock.lock()
        guard isAlive, let native = state.pointee.native else {
            state.pointee.lock.unlock()
            return -Int(EINVAL)
        }
        for block in blocks { Record.record(of: block)?.pointee.isNative = true }
        // Counted first: an event may be taken before the call has returned. Not under the lock, which those who reap
        // want meanwhile.
        state.pointee.native?.inFlightCount += blocks.count
        state.pointee.native?.submitCount &+= 1
        state.pointee.lock.unlock()
        let result = native.submit(blocks)
        if result < blocks.count { takeBack(blocks, from: max(result, 0)) }
        return result
    }

    /// What the kernel did not take is the caller's again; unless whoever destroys the context has seen to it, who
    /// cannot tell. That is taken out.
    private func takeBack(_ blocks: UnsafeMutableBufferPointer<UnsafeMutablePointer<ck_iocb>?>, from first: Int) {
        state.pointee.lock.lock()
        state.pointee.native?.inFlightCount -= blocks.count - first
        for index in first..<blocks.count {
            guard let record = Record.record(of: blocks[index]), record.pointee.isNative else {
                blocks[index] = nil
                continue
            }
            record.pointee.isNative = false
        }
        state.pointee.lock.unlock()
    }

    /// Something other than direct I/O comes: the loop takes over.
    func turnToLoop(_ library: UnsafeMutablePointer<Library>) {
        // Without the lock at first: it never turns back while anybody is inside.
        guard state.pointee.mode != .loop else { return }
        state.pointee.lock.lock()
        let wasNative = state.pointee.mode == .native
        state.pointee.mode = .loop
        state.pointee.native?.dismissWaiters()
        state.pointee.lock.unlock()
        // For what is in flight with the kernel, and for those who wait there yet.
        if wasNative { keepTicking(library) }
    }

    /// Once the loop does all: again, for those whom others have taken what was to let them go.
    func dismissNativeWaiters() {
        state.pointee.lock.lock()
        if isAlive { state.pointee.native?.dismissWaiters() }
        state.pointee.lock.unlock()
    }
}

// MARK: Ending

extension Context {
    /// Ends the kernel's context: waits for what is in flight, and lets those who wait for events go.
    func endNative() {
        guard let native = state.pointee.native else { return }
        Kernel.linuxAIODestroy(native.id)
        state.pointee.lock.lock()
        var count: UInt32 = 0
        while let record = state.pointee.records.firstInFlight(where: { $0.pointee.isNative }) {
            // What came of it nobody asks.
            record.pointee.account.complete(result: 0)
            release(record)
            count += 1
        }
        state.pointee.lock.unlock()
        if count > 0 { leave(count) }
    }
}
