internal import AIOCore
internal import CKernel

/// A descriptor with one owner, on which operations wait: the base of connections, listeners, datagram sockets and pipe
/// ends.
///
/// A close ends the operations that wait, and closes the descriptor when the last of them has ended. Therefore no
/// operation can hit another file that was opened under the same number.
final class StreamHandle: Sendable {
    let runtime: IORuntime
    let descriptor: Descriptor
    /// The kind of stream, for the log: "connection".
    private let noun: String
    /// The remote or local address, for errors and the log.
    let address: SocketAddress?
    /// Whether the descriptor belongs to the process, as standard input does. It is then neither closed nor reported as
    /// dropped.
    private let isBorrowed: Bool
    private let lease = FileLease()
    private let waiting = WaitingOperations()
    /// Whether an attempt before a wait is worth it, for each direction.
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

    /// Begins an operation on the descriptor; `end` ends it. Throws `cancelled` in a cancelled task and
    /// `deadlineExceeded` after the deadline, before anything is transferred.
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

    /// Carries out an operation that may wait.
    @inline(__always)
    func perform(_ operation: Operation, _ deadline: Deadline, _ name: String) async throws(IOError) -> Int {
        try begin(name, deadline)
        defer { lease.end() }
        return try await performBegun(operation, deadline, name)
    }

    /// The same after `begin`; the caller calls `end`. Everything up to the loop is inlined here: each further async
    /// frame costs an allocation from the task's memory, and with a thousand connections that memory is not in the CPU
    /// cache.
    func performBegun(_ operation: Operation, _ deadline: Deadline, _ name: String) async throws(IOError) -> Int {
        do throws(IOError) {
            return Int(try await runtime.perform(operation, deadline.nanoseconds, name, noting: waiting).result)
        } catch {
            var error = error
            error.address = address?.description
            // The close requested the cancellation.
            if error.code == .cancelled, !Task.isCancelled, waiting.isEnded { error.code = .fileClosed }
            throw error
        }
    }

    /// Makes a system call that does not wait, on this thread.
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

    /// Cancels the operations that wait, waits until nobody uses the descriptor, and closes it.
    func close() async throws(IOError) {
        try runtime.check("close")
        guard lease.close() else { throw error(.fileClosed, "close") }
        waiting.end()
        for loop in runtime.loops { _ = loop.cancelWaiting(on: descriptor) }
        await lease.waitForUsers()
        guard !isBorrowed else { return }
        do throws(IOError) { try await runtime.close(number, nil) } catch {
            var error = error
            error.address = address?.description
            throw error
        }
    }

    /// Closes a descriptor that was created and not handed out. Does not wait.
    func abandon() {
        guard lease.close(), !isBorrowed else { return }
        runtime.closeUnobserved(number)
    }
}

extension IORuntime {
    /// As `perform`, with the operation recorded in `waiting` while it is in flight. The caller has just checked that
    /// the task is not cancelled.
    @inline(__always)
    func perform(
        _ operation: Operation, _ deadline: Nanoseconds, _ name: String, noting waiting: borrowing WaitingOperations
    ) async throws(IOError) -> Completion {
        let completion = try await loop(for: operation, name).perform(operation, deadline, name, noting: waiting)
        guard completion.result >= 0 else { throw IOError(completion, name, path: nil) }
        return completion
    }
}
