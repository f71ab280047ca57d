internal import CKernel

/// A write that completes when everything is written (`Transfer.Form.whole`). A stream accepts as much as it has room
/// for, which an engine reports as a short transfer; the queue then stages the rest, on every engine alike, until an
/// error, a cancel or the deadline ends the write. Its result is then the count written so far, as with write(2).
///
/// The order of several on one stream is unspecified; a caller that needs one stages them one after the other.
enum WholeWrite {
    /// Decides after a transfer, which the slot's progress then includes.
    static func decide(_ completion: Completion, _ slot: inout InFlightTable.Slot) -> Decision {
        assert(completion.result >= 0, "a transfer that failed wrote nothing")
        slot.progress += Int(completion.result)
        guard completion.result > 0, !slot.isCancelRequested,
            let rest = slot.operation.rest(after: Int(completion.result))
        else { return .finish(Int32(clamping: slot.progress), completion.flags) }
        return .stageAgain(rest)
    }
}

extension Operation {
    var isWholeWrite: Bool { transfer.map { $0.isWholeWrite } ?? false }

    /// The rest of a write after its first `count` bytes; nil if nothing is left. Modifies the iovecs of a vectored
    /// write in place.
    public func rest(after count: Int) -> Operation? {
        guard var transfer, transfer.isWrite else { return nil }
        if transfer.isVectored {
            guard transfer.moveVectors(by: count) else { return nil }
        } else {
            guard count < transfer.count else { return nil }
            transfer.base = transfer.base.map { $0 + count }
            transfer.count -= count
        }
        transfer.advanceOffset(by: count)
        return .transfer(transfer)
    }
}

extension Transfer {
    fileprivate mutating func advanceOffset(by count: Int) {
        if offset >= 0, descriptor.kind != .stream { offset += Int64(count) }
    }

    /// Advances past the written bytes. False if nothing is left.
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
