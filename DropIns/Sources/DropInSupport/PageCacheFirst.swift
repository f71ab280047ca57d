public import AIOCore

extension Transfer {
    /// Carries out a read in the call if the page cache holds the data. nil if the transfer is to be handed over. The
    /// file has not been classified: it is assumed to be on a device, and is classified only if it refuses the attempt,
    /// since it may be in memory (tmpfs).
    public func servedInTheCall(_ guess: borrowing CacheGuess, byteCount: Int) -> Int? {
        guard mayBeAsked(byteCount: byteCount), guess.isWorthAsking() else { return nil }
        let answer = ask(byteCount: byteCount)
        switch answer {
        case .done(let result):
            assert(result <= byteCount, "more was read than was asked for")
            guess.note(answer, isStream: false)
            return result
        case .wait:
            guess.note(answer, isStream: false)
        case .refused:
            var known = self
            known.descriptor = .classify(descriptor.number)
            if known.descriptor.backing == .memory, known.mayBeAsked(byteCount: byteCount),
                case .done(let result) = known.ask(byteCount: byteCount)
            {
                return result
            }
            // Its outcome is not noted for a stream: the next file with this number may be of another kind.
            if known.descriptor.kind != .stream { guess.note(answer, isStream: false) }
        }
        return nil
    }
}
