internal import CKernel

/// What a transfer came to that was asked for without waiting.
public enum Answer: BitwiseCopyable, Sendable {
    /// It is done: the bytes, or an error that waiting would not change.
    case done(Int)
    /// What it needs is not there yet, or it is no file with offsets although it looks like one: it is to be done where it may
    /// wait.
    case wait
    /// The file cannot tell (no RWF_NOWAIT), or is open with O_DIRECT by now.
    case refused
}

extension Answer {
    /// What recv(2), send(2) and their like return with MSG_DONTWAIT.
    @inline(__always)
    public init(ofSocket result: Int) {
        self = result == -Int(EAGAIN) || result == -Int(EINTR) ? .wait : .done(result)
    }
}

/// The page cache first: what need not wait is done where the caller stands. Whether to ask, the question, and what the
/// answer means are here for all who ask: files and streams, engines and workers, the drop-in libraries.
extension Transfer {
    /// Whether to ask at all: not if it has been asked a moment ago, goes past the page cache, could not be begun again after
    /// a part (at the descriptor's own position), or is too much to be copied where the caller stands. `known`: its bytes, if
    /// the caller knows them, which spares a look at the vectors of a vectored one.
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

    /// The transfer with RWF_NOWAIT, where the kernel and the file know it.
    ///
    /// Where only the first part of a file's range is cached, the kernel returns that part. It is not taken for a short read,
    /// which would mean the end of the file: the transfer has to wait then as well, unless it has `TransferFlags.noWait`,
    /// and so wants what is there. `withoutSignal`: a write that nobody will read brings this thread no SIGPIPE.
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
        // It takes no offset though it looks like a file: what comes after, who may wait finds out.
        if error == -Int(ESPIPE), descriptor.kind != .stream { return .wait }
        guard !flags.contains(.noWait) else { return .done(error) }
        switch error {
        case -Int(EAGAIN), -Int(EINTR): return .wait
        case -Int(EOPNOTSUPP): return .refused
        case -Int(EINVAL) where mayHaveBecomeDirect: return .refused
        default: return .done(error)
        }
    }

    /// Asks if that may be of use and mostly was, and learns from the answer. nil if nothing was asked.
    public func ask(_ guess: borrowing CacheGuess, withoutSignal: Bool = false) -> Answer? {
        // The same twice, for the compiler: in a plain read of a file on a device most of the questions have their answer.
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

    /// Whether it reads a file that is nowhere but in memory: those file systems know no RWF_NOWAIT, and yet wait for
    /// nothing but what is swapped out.
    @inline(__always)
    var isReadOfMemory: Bool {
        descriptor.backing == .memory && descriptor.kind == .buffered && offset >= 0 && !isWrite
            && !flags.contains(.noWait)
    }

    private func attemptInMemory() -> Int {
        let refused = residency()
        return refused < 0 ? refused : attempt()
    }

    /// cachestat(2): 0 if none of the file's next bytes is swapped out; EAGAIN if one is, EOPNOTSUPP where the kernel
    /// does not tell (before 6.5, and of others' files).
    private func residency() -> Int {
        let byteCount = byteCount
        guard byteCount > 0 else { return 0 }
        var range = ck_cachestat_range(offset: UInt64(offset), count: UInt64(byteCount))
        var status = ck_cachestat()
        guard Kernel.cachestat(descriptor.number, &range, &status) >= 0 else { return -Int(EOPNOTSUPP) }
        return status.evicted == 0 ? 0 : -Int(EAGAIN)
    }

    /// Whether a read got less than it asked for since the page cache has no more, and not because the file ends there.
    @inline(never)
    private func isCutOff(_ result: Int) -> Bool {
        guard result > 0, descriptor.kind == .buffered, !flags.contains(.noWait) else { return false }
        var byte: UInt8 = 0
        return withUnsafeMutablePointer(to: &byte) { byte in
            var single = iovec(iov_base: byte, iov_len: 1)
            return Kernel.preadv2(descriptor.number, &single, 1, offset + Int64(result), CK_RWF_NOWAIT) != 0
        }
    }

    /// Above this, a copy from the page cache is left to a worker: some 20 us of the caller's or the loop's time.
    public static var inlineLimit: Int { 256 * 1024 }
}
