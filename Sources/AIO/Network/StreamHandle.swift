internal import AIOCore
internal import CKernel

/// A descriptor with one owner, on which operations wait: what connections, listeners, datagram sockets and the ends of
/// pipes have in common.
///
/// A close ends the operations that wait, and closes the descriptor when the last of them has: so none of them ever meets
/// another file under the same number.
final class StreamHandle: Sendable {
    let runtime: IORuntime
    let descriptor: Descriptor
    /// What it is, for the log: "connection".
    private let noun: String
    /// Where it leads, for errors and the log.
    let address: SocketAddress?
    /// Whether the descriptor is the process's, as standard input is: then it is neither closed nor missed.
    private let isBorrowed: Bool
    private let lease = FileLease()
    private let waiting = WaitingOperations()
    /// Whether to try before waiting, in either direction.
    let readGuess = CacheGuess()
    let writeGuess = CacheGuess()

    init(
        _ descriptor: Descriptor, _ noun: String, address: SocketAddress? = nil, isBorrowed: Bool = false,
        _ runtime: IORuntime
    ) {
        self.descriptor = descriptor
        self.noun = noun
        self.address = address
        self.isBorrowed = isBorrowed
        self.runtime = runtime
    }

    deinit {
        guard !lease.isClosed, !isBorrowed else { return }
        let place = address.map { "\($0)".visible } ?? "\(descriptor.number)"
        runtime.configuration.log("\(noun) \(place) was dropped without close()")
        runtime.closeUnobserved(descriptor.number)
    }

    var number: Int32 { descriptor.number }

    // MARK: Operations

    /// Begins something on the descriptor; `end` ends it. Throws `cancelled` in a cancelled task and `deadlineExceeded`
    /// after the deadline, so that neither transfers anything.
    @inline(__always)
    func begin(_ name: @autoclosure () -> String, _ deadline: Deadline = .never) throws(IOError) {
        try runtime.check(name())
        guard lease.begin() else { throw error(.fileClosed, name()) }
        do throws(IOError) { try IOLoop.checkBeginning(deadline.nanoseconds, name()) } catch {
            lease.end()
            throw self.error(error.code, name())
        }
    }

    @inline(__always)
    func end() { lease.end() }

    /// The way of everything that may have to wait.
    @inline(__always)
    func perform(_ operation: Operation, _ deadline: Deadline, _ name: String) async throws(IOError) -> Int {
        try begin(name, deadline)
        defer { lease.end() }
        return try await performBegun(operation, deadline, name)
    }

    /// The same after `begin`, which is the caller's to end. All of the way to the loop is inlined here: each async frame
    /// of its own costs an allocation from the task's memory, and at a thousand connections that memory is not in the cache.
    func performBegun(_ operation: Operation, _ deadline: Deadline, _ name: String) async throws(IOError) -> Int {
        do throws(IOError) {
            return Int(try await runtime.perform(operation, deadline.nanoseconds, name, noting: waiting).result)
        } catch {
            var error = error
            error.address = address?.description
            // It was the close that asked it to end.
            if error.code == .cancelled, !Task.isCancelled, waiting.isEnded { error.code = .fileClosed }
            throw error
        }
    }

    /// A system call that does not wait, on this thread.
    func call(_ name: String, _ body: (Int32) -> Int) throws(IOError) -> Int {
        try runtime.check(name)
        guard lease.begin() else { throw error(.fileClosed, name) }
        defer { lease.end() }
        let result = body(number)
        guard result >= 0 else { throw error(result: result, name) }
        return result
    }

    func error(_ code: IOError.Code, _ name: String, advice: String? = nil) -> IOError {
        IOError(code, name, address: address?.description, advice: advice)
    }

    func error(result: Int, _ name: String) -> IOError {
        var error = IOError(result: Int32(truncatingIfNeeded: result), name)
        error.address = address?.description
        return error
    }

    // MARK: Closing

    /// Asks what waits to end, waits until nobody uses the descriptor, and closes it.
    func close() async throws(IOError) {
        try runtime.check("close")
        guard lease.close() else { throw error(.fileClosed, "close") }
        waiting.end()
        for loop in runtime.loops { _ = loop.cancelWaiting(on: descriptor) }
        await lease.waitForUsers()
        if !isBorrowed { try await runtime.close(number, nil) }
    }

    /// For one that was made and not handed out: nobody else has it. Does not wait.
    func abandon() {
        guard lease.close(), !isBorrowed else { return }
        runtime.closeUnobserved(number)
    }
}

extension IORuntime {
    /// As `perform`; the operation is noted in `waiting` as long as it is in flight. The caller has just seen that the task is
    /// not cancelled.
    @inline(__always)
    func perform(
        _ operation: Operation, _ deadline: Nanoseconds, _ name: String, noting waiting: borrowing WaitingOperations
    ) async throws(IOError) -> Completion {
        let completion = try await loop(for: operation, name).perform(operation, deadline, name, noting: waiting)
        guard completion.result >= 0 else { throw IOError(completion, name, path: nil) }
        return completion
    }
}
