internal import AIOCore
internal import CKernel

extension Listener {
    /// Accepts the next connection; waits if there is none.
    ///
    /// Connections that ended before they were accepted are skipped, and so are network errors that accept(2) reports
    /// on their behalf. When no descriptor or memory is available, the call throws and the connection stays in the
    /// backlog for a later accept. After ``IOError/Code/cancelled`` or ``IOError/Code/deadlineExceeded`` no connection
    /// is lost. Kernel call: accept4(2).
    ///
    /// - Throws: ``IOError/Code/tooManyOpenFiles``, ``IOError/Code/outOfMemory``, ``IOError/Code/cancelled``,
    ///   ``IOError/Code/deadlineExceeded``, ``IOError/Code/fileClosed`` (also if the listener is closed during the
    ///   wait), or another error of accept4(2).
    public func accept(deadline: Deadline = .never) async throws(IOError) -> Connection {
        let peer = AddressMemory()
        while true {
            do throws(IOError) {
                let number = try await acceptOne(peer, deadline)
                return Connection(number, peer.address, runtime)
            } catch {
                guard error.isOfOneConnection else { throw error }
            }
            // accept4(2) reads the size of the memory from this word, and overwrites it with the size of the address.
            peer.countPointer.pointee = AddressMemory.room
        }
    }

    private func acceptOne(_ peer: borrowing AddressMemory, _ deadline: Deadline) async throws(IOError) -> Int32 {
        if let number = try acceptNow(peer, deadline) { return number }
        let call = SocketCall.accept(
            descriptor, address: peer.base, count: peer.countPointer, flags: CK_SOCK_CLOEXEC)
        return Int32(try await handle.perform(.socket(call), deadline, "accept"))
    }

    /// Accepts on the calling thread. This does not block, since the listener has O_NONBLOCK.
    private func acceptNow(_ peer: borrowing AddressMemory, _ deadline: Deadline) throws(IOError) -> Int32? {
        try handle.begin("accept", deadline)
        defer { handle.end() }
        guard handle.mayTryNow(handle.readGuess) else { return nil }
        let result = Kernel.accept4(handle.number, peer.base, peer.countPointer, CK_SOCK_CLOEXEC)
        return try handle.attempted(Answer(ofSocket: result), handle.readGuess, "accept").map(Int32.init)
    }

    /// Incoming connections in order: `for try await connection in listener.connections`.
    ///
    /// A connection is accepted when the loop asks for it, not before; until then it waits in the kernel's backlog. The
    /// loop's body closes each connection or passes it on. The sequence ends when the listener is closed, and when the
    /// task is cancelled; connections that were not accepted stay in the backlog. When descriptors run out, the
    /// sequence logs this once and continues when some are available. It throws every other error of
    /// ``accept(deadline:)``.
    public var connections: Connections { Connections(listener: self) }

    /// The connections of a listener, accepted on demand.
    public struct Connections: AsyncSequence, Sendable {
        public typealias Element = Connection
        public typealias Failure = IOError

        let listener: Listener

        public func makeAsyncIterator() -> Iterator { Iterator(listener: listener) }

        /// Returns one connection after the other; nil also in a cancelled task. Several iterators of one listener
        /// share its connections.
        public struct Iterator: AsyncIteratorProtocol {
            let listener: Listener

            public mutating func next() async throws(IOError) -> Connection? { try await listener.nextConnection() }

            public mutating func next(isolation actor: isolated (any Actor)?) async throws(IOError) -> Connection? {
                try await listener.nextConnection()
            }
        }
    }

    fileprivate func nextConnection() async throws(IOError) -> Connection? {
        while true {
            do throws(IOError) {
                let connection = try await accept()
                // Relaxed: the flag only limits the log and guards no data.
                hasReportedLimit.store(false, ordering: .relaxed)
                return connection
            } catch {
                switch error.code {
                case .fileClosed: return nil
                case .tooManyOpenFiles, .outOfMemory: try await waitForRoom(error)
                case .cancelled where error.endsEvents: return nil
                default: throw error
                }
            }
        }
    }

    /// No event tells when a descriptor becomes available, so the listener tries again after a pause. Logs the shortage
    /// once. 20 ms are short for a peer that waits, and 50 attempts a second cost nothing.
    private func waitForRoom(_ error: IOError) async throws(IOError) {
        if !hasReportedLimit.exchange(true, ordering: .relaxed) {
            runtime.configuration.log("\(error): new connections wait; raise RLIMIT_NOFILE (ulimit -n), or close some")
        }
        do throws(IOError) {
            let pause = Deadline.after(.milliseconds(20))
            _ = try await handle.perform(.timeout(deadline: pause.nanoseconds), .never, "accept")
        } catch {
            // The listener was closed or the task cancelled meanwhile; the next accept reports it.
            guard error.code == .fileClosed || error.endsEvents else { throw error }
        }
    }
}

extension IOError {
    /// Whether the error concerns one connection that ended early, or the network on its behalf, and not the listener
    /// (accept(2), "Error handling").
    fileprivate var isOfOneConnection: Bool {
        switch errno?.rawValue {
        case ECONNABORTED?, EPROTO?, ENOPROTOOPT?, EHOSTDOWN?, ENONET?, EHOSTUNREACH?, ENETDOWN?, ENETUNREACH?,
            EPERM?:
            true
        default: false
        }
    }
}
