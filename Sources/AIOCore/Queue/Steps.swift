internal import CKernel

/// The steps of repeating operations, and of receives that take their buffer late. Engines support neither: they
/// execute single steps.
///
/// A step that does not end the operation is delivered with `CompletionFlags.more`, and the next step starts when that
/// completion is drained. This is backpressure: an operation has at most one undrained completion, so the slots of the
/// in-flight table bound them all. A ring's multishot operations would save a submission entry per completion, but they
/// are unbounded: undrained completions fill the completion ring and terminate the operation. Multishot polls are also
/// edge-triggered, so data left unread would never be reported again.
struct Steps: ~Copyable {
    typealias Slot = UnsafeMutablePointer<InFlightTable.Slot>

    /// The buffers for receives.
    private var groups = BufferGroups()

    /// How an operation goes on.
    enum Next: BitwiseCopyable {
        case stage(Operation)
        /// Nothing to receive into: the poll after which the step is attempted again.
        case awaitReadiness(Operation)
        case finish(Int32)
    }

    /// The next step. `isReady`: the descriptor was polled readable.
    mutating func next(_ slot: Slot, isReady: Bool) -> Next {
        guard case .socket(.receiveBuffered(let socket, let group, let flags, _)) = slot.pointee.operation else {
            return .stage(slot.pointee.operation.oneStep)
        }
        switch groups.take(group) {
        case .noSuchGroup: return .finish(-EINVAL)
        case .noneFree where isReady || flags & CK_MSG_DONTWAIT != 0: return .finish(-ENOBUFS)
        case .noneFree: return .awaitReadiness(.poll(socket, events: CK_POLLIN))
        case .buffer(let buffer, let base, let count):
            assert(!slot.pointee.hasBuffer, "the last step's buffer was neither delivered nor given back")
            slot.pointee.buffer = buffer
            slot.pointee.hasBuffer = true
            // A non-blocking receive gets data that is already there; without data it does not retain the buffer.
            return .stage(.socket(.receive(socket, base, count: count, flags: flags | CK_MSG_DONTWAIT)))
        }
    }

    /// Decides after a step without an error. Its buffer, if it received something into one, is the caller's from now
    /// on.
    mutating func decide(_ completion: Completion, _ slot: Slot) -> Decision {
        if completion.result == 0 { giveBackBuffer(slot) }
        var flags = completion.flags
        if slot.pointee.hasBuffer {
            slot.pointee.hasBuffer = false
            flags.setBuffer(slot.pointee.buffer)
        }
        guard slot.pointee.operation.goesOn(after: completion.result) else { return .finish(completion.result, flags) }
        return .deliverMore(completion.result, flags)
    }

    /// Takes back the buffer of a step that received nothing.
    mutating func giveBackBuffer(_ slot: Slot) {
        guard slot.pointee.hasBuffer, case .socket(.receiveBuffered(_, let group, _, _)) = slot.pointee.operation
        else { return }
        slot.pointee.hasBuffer = false
        _ = groups.provide(Int(group), Int(slot.pointee.buffer))
    }

    /// Returns a value or a negative errno, as `BufferGroups.perform` does.
    mutating func perform(_ call: BufferGroupCall) -> Int32 { groups.perform(call) }
}

extension Operation {
    /// Whether the operation continues after this result, which is not an error.
    fileprivate func goesOn(after result: Int32) -> Bool {
        if case .socket(.receiveBuffered) = self, result == 0 { return false }
        return isRepeating
    }

    /// The operation that the engine executes as one step.
    fileprivate var oneStep: Operation {
        switch self {
        case .pollEach(let descriptor, let events): .poll(descriptor, events: events)
        case .socket(.acceptEach(let socket, let flags)):
            .socket(.accept(socket, address: nil, count: nil, flags: flags))
        default: self
        }
    }
}
