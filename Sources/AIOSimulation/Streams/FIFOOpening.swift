internal import AIOCore
internal import CKernel

/// An open of a FIFO that waits for the other side. It counts as an open end meanwhile, so that the other side's open
/// does not wait.
final class FIFOOpening {
    let end: PipeEnd
    private let othersBefore: Int

    init(_ kernel: SimulatedKernel, _ buffer: PipeBuffer, flags: UInt64) {
        end = PipeEnd(kernel, buffer, flags: flags, isFIFO: true)
        othersBefore = buffer.writersSoFar
    }

    /// A reader's open is complete once there has been a writer, even if that has closed again (fifo_open).
    var isComplete: Bool {
        end.isReadable
            ? end.buffer.writerCount > 0 || end.buffer.writersSoFar != othersBefore : end.buffer.readerCount > 0
    }
}

extension SimulatedKernel {
    /// The open of a FIFO, for the file part: a description, or a negative errno, or `wouldBlock`. An open that would
    /// block is pending until it is repeated with the same arguments, or given up by `abandonFIFOOpen`.
    func openFIFO(_ buffer: PipeBuffer, flags: UInt64) -> (result: Int, description: OpenDescription?) {
        let access = flags & CK_O_ACCMODE
        if access == CK_O_RDWR { return (0, PipeEnd(self, buffer, flags: flags, isFIFO: true)) }
        if flags & CK_O_NONBLOCK != 0 {
            guard access == CK_O_RDONLY || buffer.readerCount > 0 else { return (-Int(ENXIO), nil) }
            return (0, PipeEnd(self, buffer, flags: flags, isFIFO: true))
        }
        let pending = streams.pendingOpenings.firstIndex { $0.end.buffer === buffer && $0.end.flags == flags }
        if let pending, streams.pendingOpenings[pending].isComplete {
            return (0, streams.pendingOpenings.remove(at: pending).end)
        }
        let opening = pending.map { streams.pendingOpenings[$0] } ?? FIFOOpening(self, buffer, flags: flags)
        if opening.isComplete { return (0, opening.end) }
        if pending == nil { streams.pendingOpenings.append(opening) }
        blockedOn = [opening.end]
        giveUp = { [unowned self] in abandonFIFOOpen(buffer, flags: flags) }
        return (Self.wouldBlock, nil)
    }

    /// A cancelled open no longer counts as an open end.
    func abandonFIFOOpen(_ buffer: PipeBuffer, flags: UInt64) {
        let found = streams.pendingOpenings.firstIndex { $0.end.buffer === buffer && $0.end.flags == flags }
        if let found { streams.pendingOpenings.remove(at: found).end.lastClose() }
    }
}
