internal import AIOCore
internal import CDropIns
internal import DropInSupport
internal import Synchronization

/// What remains to be done, without the lock, after requests have ended.
struct Aftermath {
    /// Requests whose turn has come.
    var ready = RequestChain(.ofLane)
    /// Ended requests with a notification or a list.
    var told = RequestChain(.ofLane)
    /// The places of threads that wait for them: see `Suspension`.
    var waiters: UInt64 = 0
}

extension Library {
    /// Ends the requests of completed operations. Called on a loop's thread, or a worker's.
    func complete(_ deliveries: UnsafeBufferPointer<Delivery>) {
        var aftermath = Aftermath()
        for delivery in deliveries where !delivery.isInterrupted {
            RequestPointer(bitPattern: delivery.context)?.pointee.letGo(self)
        }
        locked { guarded in
            for delivery in deliveries where !delivery.isInterrupted {
                guard let request = RequestPointer(bitPattern: delivery.context) else { continue }
                request.pointee.account.served = Served(delivery.completion.flags)
                end(request, Int(delivery.completion.result), guarded, &aftermath)
            }
        }
        follow(&aftermath)
        for delivery in deliveries where delivery.isInterrupted {
            if let request = RequestPointer(bitPattern: delivery.context) { carry(request) }
        }
    }

    /// Under the lock: ends a request that ran or that waits. `result` is a count or a negative error.
    ///
    /// The result is published under the lock, so that aio_cancel and aio_fsync, which take the lock, see a request
    /// either in progress or ended.
    func end(
        _ request: RequestPointer, _ result: Int, _ guarded: UnsafeMutablePointer<LibraryState.Guarded>,
        _ aftermath: inout Aftermath
    ) {
        assert(state.pointee.lock.isHeld)
        // The hold of a request that never ran.
        request.pointee.letGo(self)
        guarded.pointee.order.finish(request, result, into: &aftermath.ready)
        var result = result
        if request.pointee.place.lane == .syncing, request.pointee.place.failure != 0, result >= 0 {
            result = -Int(request.pointee.place.failure)
        }
        // A cancelled request keeps ECANCELED, as aio_cancel has reported.
        if result != -Int(ECANCELED), !request.pointee.notification.isValid { result = -Int(EINVAL) }
        request.pointee.result = result
        request.pointee.account.complete(result: result)
        if let block = request.pointee.block { ControlBlock(block).publish(result) }
        // Read after the result is published: see `Suspension`.
        aftermath.waiters |= request.watch.pointee.waiters.load(ordering: .sequentiallyConsistent)
        if request.pointee.notification.isNone, request.pointee.list == nil {
            guarded.pointee.requests.release(request)
        } else {
            aftermath.told.append(request)
        }
    }

    /// Without the lock: notifies the program, wakes waiting threads, and starts the requests whose turn has come.
    ///
    /// As in glibc, the notification of a request precedes that of its list and the wake-up of waiting threads.
    func follow(_ aftermath: inout Aftermath) {
        if !aftermath.told.isEmpty { tell(&aftermath) }
        state.pointee.suspension.wake(aftermath.waiters)
        carry(&aftermath.ready)
    }

    private func tell(_ aftermath: inout Aftermath) {
        while let request = aftermath.told.popFirst() {
            assert(request.pointee.place.turn == .none, "a request is notified of before its end")
            request.pointee.notification.send(self)
            if let list = request.pointee.list {
                aftermath.waiters |= leave(list, hasFailed: request.pointee.result < 0)
            }
            locked { $0.pointee.requests.release(request) }
        }
    }
}

extension Delivery {
    /// Whether the call was interrupted: glibc makes it again. What was cancelled has another error.
    fileprivate var isInterrupted: Bool { completion.result == -EINTR }
}
