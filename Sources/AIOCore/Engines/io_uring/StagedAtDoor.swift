internal import CKernel

/// Operations that a stand-in for the kernel wants to see (`KernelStandIn.takes`): carried out by system calls, as the
/// engine `threads` does, instead of by the ring.
extension IOUringEngine {
    /// False if the ring shall execute the operation.
    @inline(never)
    mutating func isStagedAtDoor(_ operation: Operation, _ token: Token) -> Bool {
        let resolved = files.resolve(operation)
        // A file that a guest holds in the ring (`RingFileHolds`) has no number for a system call.
        guard resolved.descriptor?.number != -1, Kernel.takesOperation(resolved) else { return false }
        switch resolved {
        case .nop, .poll, .futexWait: return false
        case .transfer(let transfer) where transfer.descriptor.kind == .stream:
            complete(StreamAttempt(transfer), resolved, token)
        case .socket, .waitForChild:
            complete(resolved.attemptWaiting(isBegun: false), resolved, token)
        default: stageWithWorker(resolved, token)
        }
        return true
    }

    /// What is not ready completes as a ring would complete it: the queue polls, and stages it again.
    private mutating func complete(_ attempt: StreamAttempt, _ operation: Operation, _ token: Token) {
        switch attempt {
        case .done(let result): completeHere(token, Int32(truncatingIfNeeded: result))
        case .notReady: completeHere(token, operation.isConnect ? -EINPROGRESS : -EAGAIN)
        case .needsWorker: stageWithWorker(operation, token)
        }
    }
}
