internal import AIOCore
internal import CDropIns
internal import DropInSupport
internal import Synchronization

/// What follows from the end of some requests, once the lock is given up.
struct Aftermath {
    /// Requests whose turn it is now.
    var ready = RequestChain(.ofLane)
    /// Ended requests of which somebody wants to hear.
    var told = RequestChain(.ofLane)
    /// Where threads wait for them.
    var waiters: UInt64 = 0
}

extension Library {
    /// On a loop's thread: operations have completed.
    func complete(_ deliveries: UnsafeBufferPointer<Delivery>) {
        var aftermath = Aftermath()
        for delivery in deliveries { RequestPointer(bitPattern: delivery.context)?.pointee.letGo(self) }
        locked { guarded in
            for delivery in deliveries {
                guard let request = RequestPointer(bitPattern: delivery.context) else { continue }
                request.pointee.account.served = Served(delivery.completion.flags)
                end(request, Int(delivery.completion.result), guarded, &aftermath)
            }
        }
        follow(&aftermath)
    }

    /// Under the lock: ends a request that ran, or that waits. `result` is a count or a negative error.
    ///
    /// The result is published under the lock, so that aio_cancel and aio_fsync, which take it, find a request either
    /// in progress or gone.
    func end(
        _ request: RequestPointer, _ result: Int, _ guarded: UnsafeMutablePointer<LibraryState.Guarded>,
        _ aftermath: inout Aftermath
    ) {
        // One that never ran.
        request.pointee.letGo(self)
        guarded.pointee.order.finish(request, result, into: &aftermath.ready)
        var result = result
        if request.pointee.place.lane == .syncing, request.pointee.place.failure != 0, result >= 0 {
            result = -Int(request.pointee.place.failure)
        }
        // A cancelled one stays what aio_cancel said that it is.
        if result != -Int(ECANCELED), !request.pointee.notification.isValid { result = -Int(EINVAL) }
        request.pointee.result = result
        request.pointee.account.complete(result: result)
        if let block = request.pointee.block { ControlBlock(block).publish(result) }
        // After the result: see `Suspension`.
        aftermath.waiters |= request.watch.pointee.waiters.load(ordering: .sequentiallyConsistent)
        if request.pointee.notification.isNone, request.pointee.list == nil {
            guarded.pointee.requests.release(request)
        } else {
            aftermath.told.append(request)
        }
    }

    /// Without the lock: tells the program, wakes it, and lets those run whose turn it is.
    ///
    /// A request's notification comes before that of its list, and before threads that wait are woken, as in glibc.
    func follow(_ aftermath: inout Aftermath) {
        if !aftermath.told.isEmpty { tell(&aftermath) }
        state.pointee.suspension.wake(aftermath.waiters)
        carry(&aftermath.ready)
    }

    private func tell(_ aftermath: inout Aftermath) {
        while let request = aftermath.told.popFirst() {
            request.pointee.notification.send(self)
            if let list = request.pointee.list {
                aftermath.waiters |= leave(list, hasFailed: request.pointee.result < 0)
            }
            locked { $0.pointee.requests.release(request) }
        }
    }
}
