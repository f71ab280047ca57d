internal import CKernel

/// A ring that cannot be entered any more: what becomes of what it has, and of what comes.
///
/// What the kernel has not taken is staged again, with the engine `threads`, and so is what comes. What it has taken it
/// carries out, and the results are in the completion ring, which is memory: it is looked at now and then. But a ring with
/// deferred task work puts them there in io_uring_enter(2) alone, or when its thread goes: so the loop then goes on in
/// another thread (`Loop.handOver`). A cancel of what the kernel has taken cannot reach it any more.
extension IOUringEngine {
    var isLost: Bool { lostErrno != 0 }

    /// Whether io_uring_enter(2) will never do again. The others say that there is too much, or that there was a signal.
    static func isFatal(_ result: Int) -> Bool {
        switch Int32(-result) {
        case EINTR, EAGAIN, EBUSY, ETIME, ENOMEM, EBADR: false
        default: true
        }
    }

    mutating func lose(_ result: Int) {
        guard !isLost else { return }
        lostErrno = Int32(-result)
        if let made = try? ThreadsEngine(configuration, for: .ioUring, waker) {
            let place = UnsafeMutablePointer<ThreadsEngine>.allocate(capacity: 1)
            place.initialize(to: made)
            if isExported { place.pointee.exportDescriptor() }
            standIn = place
        }
        takeBackStaged()
    }

    /// As what the kernel drops when a thread exits: the queue stages it again.
    private mutating func takeBackStaged() {
        let capacity = Int(ring.stagedCount)
        let tokens = UnsafeMutablePointer<UInt64>.allocate(capacity: capacity)
        defer { tokens.deallocate() }
        var count = 0
        ring.takeStaged { entry in
            // The engine's own entries, and those that do nothing, have the top bit.
            guard entry.user_data >> 63 == 0 else { return }
            tokens[count] = entry.user_data
            count += 1
        }
        for index in 0..<count {
            let token = Token(rawValue: tokens[index])
            giveUp(token)
            completedHere.append(Completion(token, result: -ECANCELED))
        }
    }

    func isInRing(_ token: Token) -> Bool { ringTokens[Int(token.slot)] == token.rawValue }

    /// Whether the kernel has operations whose results only the end of this thread brings.
    var needsNewThread: Bool {
        isLost && ringCount > 0 && ring.parameters.flags & CK_URING_SETUP_DEFER_TASKRUN != 0
    }

    mutating func stageWithStandIn(_ operation: Operation, _ token: Token) {
        guard let standIn else {
            completedHere.append(Completion(token, result: -lostErrno))
            return
        }
        var operation = resolved(operation)
        if var (transfer, _) = operation.transfer {
            // The memory is registered with the ring alone.
            transfer.bufferIndex = Transfer.unregistered
            operation = operation.with(transfer)
        }
        standIn.pointee.stage(operation, token)
    }

    mutating func requestCancelOfLost(_ token: Token) {
        if !isInRing(token) { standIn?.pointee.requestCancel(token) }
    }

    mutating func enterStandIn(atLeast count: Int, until deadline: Nanoseconds) {
        let hasCompletions = ring.hasCompletions
        let count = hasCompletions ? 0 : count
        var look = deadline
        if count > 0, ringCount > 0 || standIn == nil { look = min(deadline, Kernel.now() &+ Self.lookTime) }
        if let standIn {
            standIn.pointee.enter(atLeast: count, until: look)
        } else if count > 0 {
            Kernel.sleep(until: look)
        }
    }
}
