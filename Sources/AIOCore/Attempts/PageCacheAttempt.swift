internal import CKernel

/// The outcome of a non-blocking attempt.
public enum Answer: BitwiseCopyable, Sendable {
    /// Completed: the byte count, or a negative errno that waiting would not change.
    case done(Int)
    /// The transfer would block, or the file takes no offset although it was classified as a regular file: execute it
    /// where it may block.
    case wait
    /// The file does not support RWF_NOWAIT, or has since been switched to O_DIRECT.
    case refused
}

extension Answer {
    /// The outcome of recv(2), send(2) or a similar call with MSG_DONTWAIT.
    @inline(__always)
    public init(ofSocket result: Int) {
        self = result == -Int(EAGAIN) || result == -Int(EINTR) ? .wait : .done(result)
    }
}

/// Page cache first: a transfer that need not wait completes on the caller's thread. Whether to attempt, the attempt,
/// and the interpretation of its result are here for all users: files and streams, engines and workers, the drop-in
/// libraries.
extension Transfer {
    /// Whether the transfer qualifies for an attempt. It does not if the cache has just missed, if it bypasses the page
    /// cache, if it cannot be retried after a partial result (at the descriptor's own position), or if copying would
    /// take too long on the caller's thread. `known` is its byte count, if known, which saves reading the iovecs of a
    /// vectored transfer.
    @inline(__always)
    public func mayBeAsked(byteCount known: Int? = nil) -> Bool {
        switch descriptor.kind {
        case .buffered:
            guard offset >= 0, form.isDisjoint(with: [.writing, .cacheMissed, .throughPageCache]) else { return false }
        case .stream: break
        case .unknown, .direct, .other: return false
        }
        return (known ?? byteCount) <= Self.inlineLimit || flags.contains(.noWait)
    }

    /// Attempts the transfer with RWF_NOWAIT where the kernel and the file support it.
    ///
    /// If only the first part of the range is cached, the kernel returns that part. This is not reported as a short
    /// read, which would mean the end of the file: the answer is `wait`, unless the transfer has
    /// ``TransferFlags/noWait`` and wants what is there. With `withoutSignal`, a write to a broken pipe raises no
    /// SIGPIPE on this thread.
    public func ask(byteCount known: Int? = nil, withoutSignal: Bool = false) -> Answer {
        asked(known, withoutSignal: withoutSignal)
    }

    @inline(__always)
    private func asked(_ known: Int?, withoutSignal: Bool) -> Answer {
        let result = withoutSignal ? attemptWithoutSignal() : attemptWithoutWaiting()
        guard result >= 0 else { return answer(to: result) }
        guard !isWrite, result < known ?? byteCount, isCutOff(result) else { return .done(result) }
        return .wait
    }

    @inline(__always)
    private func attemptWithoutWaiting() -> Int {
        isReadOfMemory ? attemptInMemory() : attempt(flags: flags.rawValue | CK_RWF_NOWAIT)
    }

    @inline(never)
    private func attemptWithoutSignal() -> Int { Kernel.withoutBrokenPipeSignal { attemptWithoutWaiting() } }

    @inline(never)
    private func answer(to error: Int) -> Answer {
        // It takes no offset although it was classified as a regular file: a blocking execution finds out more.
        if error == -Int(ESPIPE), descriptor.kind != .stream { return .wait }
        guard !flags.contains(.noWait) else { return .done(error) }
        switch error {
        case -Int(EAGAIN), -Int(EINTR): return .wait
        case -Int(EOPNOTSUPP): return .refused
        case -Int(EINVAL) where mayHaveBecomeDirect: return .refused
        default: return .done(error)
        }
    }

    /// Attempts the transfer if it qualifies and the guess favours it, and updates the guess. nil without an attempt.
    public func ask(_ guess: borrowing CacheGuess, withoutSignal: Bool = false) -> Answer? {
        // The same call twice, for the optimizer: for a plain read of a file on a device most conditions are constant.
        if descriptor.kind == .buffered, descriptor.backing == .device, form.isEmpty {
            return askIfWorthIt(guess, withoutSignal: false)
        }
        return askOther(guess, withoutSignal: withoutSignal)
    }

    @inline(never)
    private func askOther(_ guess: borrowing CacheGuess, withoutSignal: Bool) -> Answer? {
        askIfWorthIt(guess, withoutSignal: withoutSignal)
    }

    @inline(__always)
    private func askIfWorthIt(_ guess: borrowing CacheGuess, withoutSignal: Bool) -> Answer? {
        guard mayBeAsked(), guess.isWorthAsking() else { return nil }
        let answer = asked(nil, withoutSignal: withoutSignal)
        guess.note(answer, isStream: descriptor.kind == .stream)
        return answer
    }

    /// Whether the transfer reads a file whose content is only in memory. Those file systems do not support RWF_NOWAIT,
    /// but block only on pages that are swapped out.
    @inline(__always)
    var isReadOfMemory: Bool {
        descriptor.backing == .memory && descriptor.kind == .buffered && offset >= 0 && !isWrite
            && !flags.contains(.noWait)
    }

    private func attemptInMemory() -> Int {
        let refused = residency()
        return refused < 0 ? refused : attempt()
    }

    /// Residency by cachestat(2): 0 if none of the range is swapped out; -EAGAIN if something is; -EOPNOTSUPP where the
    /// kernel does not tell (before 6.5, and for files of other users).
    private func residency() -> Int {
        let byteCount = byteCount
        guard byteCount > 0 else { return 0 }
        var range = ck_cachestat_range(offset: UInt64(offset), count: UInt64(byteCount))
        var status = ck_cachestat()
        guard Kernel.cachestat(descriptor.number, &range, &status) >= 0 else { return -Int(EOPNOTSUPP) }
        return status.evicted == 0 ? 0 : -Int(EAGAIN)
    }

    /// Whether a read was short because the rest is not cached, rather than because the file ends there.
    @inline(never)
    private func isCutOff(_ result: Int) -> Bool {
        guard result > 0, descriptor.kind == .buffered, !flags.contains(.noWait) else { return false }
        var byte: UInt8 = 0
        return withUnsafeMutablePointer(to: &byte) { byte in
            var single = iovec(iov_base: byte, iov_len: 1)
            return Kernel.preadv2(descriptor.number, &single, 1, offset + Int64(result), CK_RWF_NOWAIT) != 0
        }
    }

    /// Above this, copying from the page cache is left to a worker: it takes some 20 us of the caller's or the loop's
    /// time.
    public static var inlineLimit: Int { 256 * 1024 }
}
