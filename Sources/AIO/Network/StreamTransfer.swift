internal import AIOCore
internal import CKernel

// Reading and writing of sockets: tried where the caller stands, then handed to a loop, which waits.
extension StreamHandle {
    /// Bytes that one call takes at most, so that they fit the kernel's counts.
    private static var transferMax: Int { 1 << 30 }

    /// recv(2). Always inlined, as `File.perform` is: what is there costs one async frame, the caller's.
    @inline(__always)
    func receive(
        _ base: UnsafeMutableRawPointer?, _ count: Int, _ deadline: Deadline
    ) async throws(IOError) -> Int {
        // A stream that has not ended returns zero too if it is asked for nothing.
        guard count > 0 else { return 0 }
        try begin("read", deadline)
        defer { end() }
        if let result = try receiveNow(base, count) { return result }
        let call = SocketCall.receive(descriptor, base, count: min(count, Self.transferMax), flags: waitFlags)
        return try await performBegun(.socket(call), deadline, "read")
    }

    @inline(__always)
    private func receiveNow(_ base: UnsafeMutableRawPointer?, _ count: Int) throws(IOError) -> Int? {
        guard mayTryNow(readGuess) else { return nil }
        let result = Kernel.receive(number, base, min(count, Transfer.inlineLimit), CK_MSG_DONTWAIT)
        return try attempted(result, readGuess, "read")
    }

    /// send(2), never with SIGPIPE.
    @inline(__always)
    func send(_ base: UnsafeRawPointer?, _ count: Int, _ deadline: Deadline) async throws(IOError) -> Int {
        guard count > 0 else { return 0 }
        try begin("write", deadline)
        defer { end() }
        if let result = try sendNow(base, count) { return result }
        let call = SocketCall.send(descriptor, base, count: min(count, Self.transferMax), flags: waitFlags)
        return try await performBegun(.socket(call), deadline, "write")
    }

    @inline(__always)
    private func sendNow(_ base: UnsafeRawPointer?, _ count: Int) throws(IOError) -> Int? {
        guard mayTryNow(writeGuess) else { return nil }
        let flags = CK_MSG_DONTWAIT | CK_MSG_NOSIGNAL
        let result = Kernel.send(number, base, min(count, Transfer.inlineLimit), flags)
        return try attempted(result, writeGuess, "write")
    }

    /// A transfer on a stream that need not be a socket, by `attempt`, which does not wait; nil if it is for the loop.
    @inline(__always)
    func transferNow(
        _ transfer: Transfer, _ guess: borrowing CacheGuess, _ name: String, _ attempt: (Transfer) -> Int
    ) throws(IOError) -> Int? {
        guard transfer.descriptor.kind == .stream, mayTryNow(guess) else { return nil }
        var transfer = transfer
        transfer.count = min(transfer.count, Transfer.inlineLimit)
        let result = attempt(transfer)
        if result == -Int(EOPNOTSUPP) {
            // This kind of stream cannot tell.
            guess.noteUnsupported()
            return nil
        }
        return try attempted(result, guess, name)
    }

    /// Of what goes to a loop: there is little sense in its trying at once again.
    @inline(__always)
    private var waitFlags: Int32 { runtime.configuration.inlineAttempts ? SocketCall.waitsFirst : 0 }

    /// Whether to try on this thread: not if it mostly was in vain, and not if a task that is served again and again would
    /// keep its loop from everybody else.
    @inline(__always)
    func mayTryNow(_ guess: borrowing CacheGuess) -> Bool {
        guard runtime.configuration.inlineAttempts, guess.isWorthAsking() else { return false }
        return !(guess.isTurnUsedUp() && runtime.isOnLoop)
    }

    /// What an attempt came to; nil if it is for the loop.
    @inline(__always)
    func attempted(_ result: Int, _ guess: borrowing CacheGuess, _ name: String) throws(IOError) -> Int? {
        if result >= 0 {
            guess.noteHit()
            return result
        }
        switch result {
        case -Int(EAGAIN):
            // For a task on a loop, an attempt in vain is a good part of what waiting costs. For one elsewhere it is little
            // beside the change of thread that follows, and much is saved if the next one finds something.
            if runtime.isOnLoop { guess.noteMiss() }
            return nil
        case -Int(EINTR): return nil
        default: throw error(result: result, name)
        }
    }
}
