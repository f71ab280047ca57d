internal import AIOCore
internal import CKernel

extension Listener {
    /// The next connection; waits if there is none.
    ///
    /// Connections that ended before they were accepted, and what accept(2) tells of the network on their behalf, are
    /// passed over. Throws `tooManyOpenFiles` or `outOfMemory` without one for the connection's descriptor: it stays
    /// in the backlog, for a later accept. Throws `cancelled` or `deadlineExceeded`, after which no connection is lost,
    /// and `fileClosed`. accept4(2).
    public func accept(deadline: Deadline = .never) async throws(IOError) -> Connection {
        let peer = AddressMemory()
        while true {
            do throws(IOError) {
                let number = try await acceptOne(peer, deadline)
                return Connection(number, peer.address, runtime)
            } catch {
                guard error.isOfOneConnection else { throw error }
            }
            // The kernel writes the size of the address there, and reads the room.
            peer.countPointer.pointee = AddressMemory.room
        }
    }

    private func acceptOne(_ peer: borrowing AddressMemory, _ deadline: Deadline) async throws(IOError) -> Int32 {
        if let number = try acceptNow(peer, deadline) { return number }
        let call = SocketCall.accept(
            descriptor, address: peer.base, count: peer.countPointer, flags: CK_SOCK_CLOEXEC)
        return Int32(try await handle.perform(.socket(call), deadline, "accept"))
    }

    /// On the caller's thread: the listener has O_NONBLOCK.
    private func acceptNow(_ peer: borrowing AddressMemory, _ deadline: Deadline) throws(IOError) -> Int32? {
        try handle.begin("accept", deadline)
        defer { handle.end() }
        guard handle.mayTryNow(handle.readGuess) else { return nil }
        let result = Kernel.accept4(handle.number, peer.base, peer.countPointer, CK_SOCK_CLOEXEC)
        return try handle.attempted(result, handle.readGuess, "accept").map(Int32.init)
    }

    /// The connections that come, one after the other: `for try await connection in listener.connections`.
    ///
    /// One is accepted when it is asked for and not before; those that wait meanwhile are the kernel's, as many as the
    /// backlog says. The loop closes each connection, or hands it to somebody who does. The sequence ends when the
    /// listener is closed. Where descriptors have run out it says so in the log, and goes on when there are some again.
    /// Throws what `accept` does otherwise.
    public var connections: Connections { Connections(listener: self) }

    public struct Connections: AsyncSequence, Sendable {
        public typealias Element = Connection
        public typealias Failure = IOError

        let listener: Listener

        public func makeAsyncIterator() -> Iterator { Iterator(listener: listener) }

        /// Several of one listener share the connections that come.
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
                // Relaxed: what it is about comes with the connection.
                hasReportedLimit.store(false, ordering: .relaxed)
                return connection
            } catch {
                switch error.code {
                case .fileClosed: return nil
                case .tooManyOpenFiles, .outOfMemory: try await waitForRoom(error)
                default: throw error
                }
            }
        }
    }

    /// Nothing tells when a descriptor is free again: asks after a time. Says so once.
    private func waitForRoom(_ error: IOError) async throws(IOError) {
        if !hasReportedLimit.exchange(true, ordering: .relaxed) {
            runtime.configuration.log("\(error): connections wait; raise RLIMIT_NOFILE (ulimit -n), or close some")
        }
        do throws(IOError) {
            let pause = Deadline.after(.milliseconds(20))
            _ = try await handle.perform(.timeout(deadline: pause.nanoseconds), .never, "accept")
        } catch {
            // The listener was closed meanwhile: the next accept says so.
            guard error.code == .fileClosed else { throw error }
        }
    }
}

extension IOError {
    /// What accept(2) says of one connection that ended early, or of the network on its behalf, and not of the listener.
    fileprivate var isOfOneConnection: Bool {
        switch errno?.rawValue {
        case ECONNABORTED?, EPROTO?, ENOPROTOOPT?, EHOSTDOWN?, ENONET?, EHOSTUNREACH?, ENETDOWN?, ENETUNREACH?,
            EPERM?:
            true
        default: false
        }
    }
}
