internal import CKernel

/// Writes that complete when all is written (`TransferFlags.whole`): a stream takes what it has room for, and an engine
/// completes with that. The rest follows, the same on every engine, until an error, a cancel or the deadline ends the
/// write; what was written before is then its result, as it is of write(2).
///
/// Nothing is said about the order of several on one stream: whoever needs one stages them one after the other.
extension EngineQueue {
    mutating func stageWholeWrite(_ token: Token) {
        table.setWriting(token)
        let slot = table[token]
        if slot.pointee.deadline != .never { deadlines.insert(token.slot, slot.pointee.deadline) }
        engine.stage(slot.pointee.operation, token)
    }

    /// Some of it is written.
    mutating func continueWrite(_ completion: Completion, _ slot: UnsafeMutablePointer<InFlightTable.Slot>) {
        slot.pointee.progress += Int(completion.result)
        guard completion.result > 0, !slot.pointee.isCancelRequested,
            let rest = slot.pointee.operation.rest(after: Int(completion.result))
        else { return finish(completion.token, Int32(clamping: slot.pointee.progress), completion.flags) }
        slot.pointee.operation = rest
        stageAgain(rest, completion.token)
    }
}

extension Operation {
    var isWholeWrite: Bool { transfer.map { $0.isWrite && $0.transfer.flags.contains(.whole) } ?? false }

    /// The rest of a write of which `count` bytes are written; nil if that is all. The iovecs of a vectored one are moved
    /// on where they lie.
    public func rest(after count: Int) -> Operation? {
        switch self {
        case .write(var transfer):
            guard count < transfer.count else { return nil }
            transfer.base = transfer.base.map { $0 + count }
            transfer.count -= count
            transfer.advanceOffset(by: count)
            return .write(transfer)
        case .writeVectored(var transfer):
            guard transfer.moveVectors(by: count) else { return nil }
            transfer.advanceOffset(by: count)
            return .writeVectored(transfer)
        default:
            return nil
        }
    }
}

extension Transfer {
    fileprivate mutating func advanceOffset(by count: Int) {
        if offset >= 0, descriptor.kind != .stream { offset += Int64(count) }
    }

    /// False if nothing is left.
    fileprivate mutating func moveVectors(by written: Int) -> Bool {
        guard var vector = base?.assumingMemoryBound(to: iovec.self) else { return false }
        var left = written
        while count > 0, left >= Int(vector.pointee.iov_len) {
            left -= Int(vector.pointee.iov_len)
            vector += 1
            count -= 1
        }
        base = UnsafeMutableRawPointer(vector)
        guard count > 0 else { return false }
        vector.pointee.iov_base = vector.pointee.iov_base.map { $0 + left }
        vector.pointee.iov_len -= numericCast(left)
        return true
    }
}
