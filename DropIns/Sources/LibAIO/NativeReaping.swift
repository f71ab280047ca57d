internal import AIOCore
internal import CDropIns
internal import CKernel
internal import DropInSupport

// Taking events of a context whose operations are the kernel's.

extension Context {
    /// The kernel's context, if all events that there are or will be are its: one more waits for so many.
    func beginReaping(_ wanted: Int) -> NativeContext? {
        state.pointee.lock.lock()
        defer { state.pointee.lock.unlock() }
        guard state.pointee.mode == .native, var native = state.pointee.native else { return nil }
        native.waiterCount += 1
        native.reapCount &+= 1
        native.wanted = max(native.wanted, wanted)
        state.pointee.native = native
        return native
    }

    /// One waits no more. Makes the program's events of the kernel's, in place, and returns how many there are: what
    /// was not done yet goes on, and what only woke us is left out.
    func endReaping(_ events: UnsafeMutableBufferPointer<ck_io_event>) -> Int {
        var kept = 0
        state.pointee.lock.lock()
        state.pointee.native?.waiterCount -= 1
        if state.pointee.native?.waiterCount == 0 { state.pointee.native?.wanted = 0 }
        // Whoever destroys the context sees to all that is in flight.
        for event in events where isAlive {
            guard let record = UnsafeMutablePointer<Record>(bitPattern: UInt(event.data)) else { continue }
            if goesOn(record, event.result) { continue }
            events[kept] = finish(record, event)
            kept += 1
        }
        state.pointee.lock.unlock()
        if kept > 0 { leave(UInt32(kept)) }
        return kept
    }

    /// Under the lock: the operation's end. Its reference is the caller's to give up.
    private func finish(_ record: UnsafeMutablePointer<Record>, _ event: ck_io_event) -> ck_io_event {
        let result = ck_io_event(
            data: record.pointee.data, object: UInt64(record.pointee.block), result: event.result,
            result2: event.result2)
        record.pointee.account.complete(result: Int(event.result))
        state.pointee.native?.inFlightCount -= 1
        release(record)
        return result
    }

    /// Under the lock: the kernel could not go on without waiting. Here the caller waits anyway: it is submitted once
    /// more, and may wait. False if it is done.
    private func goesOn(_ record: UnsafeMutablePointer<Record>, _ result: Int64) -> Bool {
        guard result == -Int64(EAGAIN), record.pointee.isAttempt, let native = state.pointee.native else {
            return false
        }
        record.pointee.isAttempt = false
        record.pointee.native.rw_flags &= ~CK_RWF_NOWAIT
        return withUnsafeMutablePointer(to: &record.pointee.native) { block in
            var pointer: UnsafeMutablePointer<ck_iocb>? = block
            return Kernel.linuxAIOSubmit(native.id, 1, &pointer) == 1
        }
    }

    /// Moves what the kernel has completed to the program's ring, for those who read that. On the loop's thread.
    func publishNative() {
        guard let native = state.pointee.native else { return }
        withUnsafeTemporaryAllocation(of: ck_io_event.self, capacity: 32) { events in
            while true {
                let place = UInt(bitPattern: events.baseAddress)
                let count = Kernel.linuxAIOGetEvents(native.id, 0, events.count, place, 0, mask: 0)
                guard count > 0 else { return }
                state.pointee.lock.lock()
                var published = 0
                for event in events[..<count] where isAlive {
                    guard let record = UnsafeMutablePointer<Record>(bitPattern: UInt(event.data)) else { continue }
                    if goesOn(record, event.result) { continue }
                    state.pointee.native?.inFlightCount -= 1
                    publish(record, Int32(truncatingIfNeeded: event.result))
                    published += 1
                }
                finishPublishing(published)
            }
        }
    }
}
