internal import CKernel

/// The engine's own entries for which the submission ring had no room, because the kernel refused to consume entries
/// (EAGAIN: no memory, EBUSY: the completion ring has overflowed). Each `enter` stages them again.
///
/// An operation needs no place here: a worker executes it, or the queue stages it again.
struct PostponedEntries: ~Copyable {
    /// The targets of cancel requests. `EngineQueue` requests at most one cancel per operation.
    var cancels: FixedQueue<Token>
    /// Whether the wake-up is to be armed.
    var armsWake = false

    init(capacity: Int) { cancels = FixedQueue(capacity: capacity) }

    @inline(__always)
    var isEmpty: Bool { cancels.isEmpty && !armsWake }
}

extension IOUringEngine {
    mutating func postponeCancel(_ token: Token) {
        if postponed.cancels.isFull { forgetEndedTargets() }
        postponed.cancels.append(token)
    }

    /// Makes room: there are no more targets in the ring than places.
    private mutating func forgetEndedTargets() {
        for _ in 0..<postponed.cancels.count {
            guard let token = postponed.cancels.popFirst() else { return }
            if isInRing(token) { postponed.cancels.append(token) }
        }
    }

    mutating func stagePostponed() {
        if postponed.armsWake {
            postponed.armsWake = false
            armWake()
        }
        for _ in 0..<postponed.cancels.count {
            guard let token = postponed.cancels.popFirst() else { return }
            if isInRing(token) { cancelInRing(token) }
        }
    }
}
