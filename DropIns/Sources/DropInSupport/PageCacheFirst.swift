public import AIOCore

extension Transfer {
    /// What the page cache holds is read in the call; nil if the transfer is to be handed over. The file has not been
    /// classified: it is taken for one on a device until it cannot tell, and looked at then, since it may be one in memory.
    public func servedInTheCall(_ guess: borrowing CacheGuess, byteCount: Int) -> Int? {
        guard mayBeAsked(byteCount: byteCount), guess.isWorthAsking() else { return nil }
        let answer = ask(byteCount: byteCount)
        switch answer {
        case .done(let result):
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
            // A stream says nothing about the file that has its number next.
            if known.descriptor.kind != .stream { guess.note(answer, isStream: false) }
        }
        return nil
    }
}
