internal import CKernel

/// A ring that can no longer be entered.
///
/// Operations that the kernel has not consumed are staged again, with the engine `threads`, and so are new ones. The
/// kernel finishes those that it has consumed, and writes their completions to the completion ring, which is memory and
/// is polled. With deferred task work (DEFER_TASKRUN) it does so only in io_uring_enter(2) or when the submitting
/// thread exits: the loop then continues on another thread (`Loop.goesOnElsewhere`). Operations that the kernel has
/// consumed can no longer be cancelled.
extension IOUringEngine {
    var isLost: Bool { lostErrno != 0 }

    /// Whether the errno means that io_uring_enter(2) will never succeed again. The excluded ones are transient:
    /// overload, a signal, a timeout.
    static func isFatal(_ result: Int) -> Bool {
        switch Int32(-result) {
        case EINTR, EAGAIN, EBUSY, ETIME, ENOMEM, EBADR: false
        default: true
        }
    }

    mutating func lose(_ result: Int) {
        guard !isLost else { return }
        lostErrno = Int32(-result)
        if let made = try? ThreadsEngine(configuration, as: .ioUring, ThreadsServices(), waker) {
            let place = UnsafeMutablePointer<ThreadsEngine>.allocate(capacity: 1)
            place.initialize(to: made)
            if isExported { place.pointee.exportDescriptor() }
            standIn = place
        }
        takeBackStaged()
    }

    /// Completes unconsumed entries as the kernel does when a thread exits, so that the queue stages them again.
    private mutating func takeBackStaged() {
        let capacity = Int(ring.stagedCount)
        let tokens = UnsafeMutablePointer<UInt64>.allocate(capacity: capacity)
        defer { tokens.deallocate() }
        var count = 0
        ring.takeStaged { entry in
            // The top bit marks the engine's own entries and nops.
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

    func isLost(_ token: Token) -> Bool { isLost && isInRing(token) }

    /// Whether the kernel delivers outstanding completions only once this thread exits.
    var needsNewThread: Bool {
        isLost && ringCount > 0 && ring.parameters.flags & CK_URING_SETUP_DEFER_TASKRUN != 0
    }

    mutating func stageWithStandIn(_ operation: Operation, _ token: Token) {
        guard let standIn else {
            completedHere.append(Completion(token, result: -lostErrno))
            return
        }
        var operation = files.resolve(operation)
        if var transfer = operation.transfer {
            // The memory is registered with the ring only.
            transfer.bufferIndex = Transfer.unregistered
            operation = .transfer(transfer)
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
