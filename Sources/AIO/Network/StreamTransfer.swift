internal import AIOCore
internal import CKernel

// Reads and writes of sockets: attempted on the calling thread, then handed to a loop.
extension StreamHandle {
    /// The maximum number of bytes in one call. The kernel transfers at most 2 GiB less a page, and no socket takes as
    /// much at a time.
    private static var transferMax: Int { 1 << 30 }

    /// recv(2). Always inlined, like `File.perform`: if data is available, the read costs one async frame, the
    /// caller's.
    @inline(__always)
    func receive(
        _ base: UnsafeMutableRawPointer?, _ count: Int, _ deadline: Deadline
    ) async throws(IOError) -> Int {
        // A read of no bytes returns 0 although the stream has not ended.
        guard count > 0 else { return 0 }
        try begin("read", deadline)
        defer { end() }
        if let result = try receiveNow(base, count) { return result }
        let count = min(count, Self.transferMax)
        let call = SocketCall.receive(descriptor, base, count: count, flags: 0, waitsFirst: waitsFirst)
        return try await performBegun(.socket(call), deadline, "read")
    }

    @inline(__always)
    private func receiveNow(_ base: UnsafeMutableRawPointer?, _ count: Int) throws(IOError) -> Int? {
        guard mayTryNow(readGuess) else { return nil }
        let result = Kernel.receive(number, base, min(count, Transfer.inlineLimit), CK_MSG_DONTWAIT)
        return try attempted(Answer(ofSocket: result), readGuess, "read")
    }

    /// send(2), without SIGPIPE.
    @inline(__always)
    func send(_ base: UnsafeRawPointer?, _ count: Int, _ deadline: Deadline) async throws(IOError) -> Int {
        guard count > 0 else { return 0 }
        try begin("write", deadline)
        defer { end() }
        if let result = try sendNow(base, count) { return result }
        let count = min(count, Self.transferMax)
        let call = SocketCall.send(descriptor, base, count: count, flags: 0, waitsFirst: waitsFirst)
        return try await performBegun(.socket(call), deadline, "write")
    }

    @inline(__always)
    private func sendNow(_ base: UnsafeRawPointer?, _ count: Int) throws(IOError) -> Int? {
        guard mayTryNow(writeGuess) else { return nil }
        let flags = CK_MSG_DONTWAIT | CK_MSG_NOSIGNAL
        let result = Kernel.send(number, base, min(count, Transfer.inlineLimit), flags)
        return try attempted(Answer(ofSocket: result), writeGuess, "write")
    }

    /// Attempts a transfer on a stream that may not be a socket; nil if it must go to the loop.
    @inline(__always)
    func transferNow(
        _ transfer: Transfer, _ guess: borrowing CacheGuess, _ name: String
    ) throws(IOError) -> Int? {
        guard transfer.descriptor.kind == .stream, mayTryNow(guess) else { return nil }
        var transfer = transfer
        transfer.count = min(transfer.count, Transfer.inlineLimit)
        return try attempted(transfer.ask(withoutSignal: transfer.isWrite && !runtime.isOnLoop), guess, name)
    }

    /// An operation that was attempted here need not be attempted again before the loop waits for it.
    @inline(__always)
    var waitsFirst: Bool { runtime.configuration.inlineAttempts }

    /// Whether to attempt the operation on this thread: not if attempts mostly failed, and not if a task that is always
    /// served without suspending would starve the other tasks of its loop.
    @inline(__always)
    func mayTryNow(_ guess: borrowing CacheGuess) -> Bool {
        guard runtime.configuration.inlineAttempts, guess.isWorthAsking() else { return false }
        return !(guess.isTurnUsedUp() && runtime.isOnLoop)
    }

    /// The result of an attempt; nil if the operation must go to the loop.
    @inline(__always)
    func attempted(_ answer: Answer, _ guess: borrowing CacheGuess, _ name: String) throws(IOError) -> Int? {
        switch answer {
        case .done(let result) where result >= 0:
            guess.noteHit()
            return result
        case .done(let result): throw error(result: result, name)
        case .wait:
            // On a loop, a failed attempt is a considerable part of the cost of a wait. On another thread it is small
            // beside the thread switch that follows, and the next attempt that succeeds saves that.
            if runtime.isOnLoop { guess.noteMiss() }
        case .refused: guess.noteUnsupported()
        }
        return nil
    }
}
