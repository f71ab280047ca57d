internal import AIOCore
internal import CKernel

extension Connection {
    /// Connects to an address. `local` is the source address; nil leaves it to the kernel.
    ///
    /// After an error no socket is left, nor the path of a Unix-domain `local`; after a success that path stays, also
    /// when the connection is closed. Kernel calls: socket(2), bind(2), connect(2).
    ///
    /// - Throws: ``IOError/Code/connectionRefused`` if nobody listens on the address, ``IOError/Code/notFound`` if a
    ///   Unix-domain path does not exist, ``IOError/Code/timedOut``, ``IOError/Code/hostUnreachable``,
    ///   ``IOError/Code/networkUnreachable``, ``IOError/Code/addressInUse`` or ``IOError/Code/addressNotAvailable`` for
    ///   `local`, ``IOError/Code/cancelled``, ``IOError/Code/deadlineExceeded``, or another error of a kernel call.
    public static func connect(
        to address: SocketAddress, from local: SocketAddress? = nil, runtime: IORuntime = .shared,
        deadline: Deadline = .never
    ) async throws(IOError) -> Connection {
        let target = try AddressMemory(address, for: "connect")
        let number = try SocketSetup.make(address, CK_SOCK_STREAM, runtime, "connect")
        let connection = Connection(number, address, runtime)
        var made: SocketFile?
        do throws(IOError) {
            if let local { made = try await SocketSetup.bind(connection.handle, local, deadline) }
            let call = SocketCall.connect(connection.descriptor, address: target.base, count: target.count)
            _ = try await connection.handle.perform(.socket(call), deadline, "connect")
            return connection
        } catch {
            connection.handle.abandon()
            await made?.remove(runtime)
            throw error
        }
    }

    /// Resolves a host name and connects to the first of its addresses that answers, with staggered attempts. A numeric
    /// address resolves to itself. `deadline` is that of lookup and connection together.
    ///
    /// - Throws: the errors of ``SocketAddress/resolve(_:port:runtime:deadline:)``, or those of
    ///   ``connect(toAnyOf:attemptDelay:runtime:deadline:)``.
    public static func connect(
        toHost host: String, port: UInt16, runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) -> Connection {
        let addresses = try await SocketAddress.resolve(host, port: port, runtime: runtime, deadline: deadline)
        guard !addresses.isEmpty else { throw IOError(.nameNotFound, "connect", address: host) }
        return try await connect(toAnyOf: addresses, runtime: runtime, deadline: deadline)
    }
}

/// Creation of sockets of all kinds.
enum SocketSetup {
    /// socket(2), close-on-exec.
    static func make(
        _ address: SocketAddress, _ type: Int32, _ runtime: IORuntime, _ name: String
    ) throws(IOError) -> Int32 {
        try runtime.check(name)
        let result = Kernel.socket(address.family, type | CK_SOCK_CLOEXEC, 0)
        guard result >= 0 else {
            var error = IOError(result: Int32(truncatingIfNeeded: result), name)
            error.address = address.description
            throw error
        }
        return Int32(result)
    }

    /// bind(2). For a path in a file system it runs on a worker, and returns the socket that it has created there.
    @discardableResult
    static func bind(
        _ handle: StreamHandle, _ address: SocketAddress, _ deadline: Deadline
    ) async throws(IOError) -> SocketFile? {
        let memory = try AddressMemory(address, for: "bind")
        do throws(IOError) {
            let call = SocketCall.bind(handle.descriptor, address: memory.base, count: memory.count)
            _ = try await handle.perform(.socket(call), deadline, "bind")
        } catch {
            var error = error
            error.address = address.description
            throw error
        }
        guard case .unix(let path) = address else { return nil }
        return try await .created(at: path, handle.runtime)
    }
}
