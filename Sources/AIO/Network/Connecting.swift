internal import AIOCore
internal import CKernel

extension Connection {
    /// Connects to an address; `local` is the address to come from, if it matters.
    ///
    /// A cancelled connect, or one whose deadline passes, leaves no socket. Throws `connectionRefused` if nobody listens
    /// there (for a path, `notFound` if there is no such name), `timedOut`, `hostUnreachable`, `networkUnreachable`,
    /// `cancelled`, `deadlineExceeded`, or what socket(2), bind(2) and connect(2) say, which are the kernel calls.
    public static func connect(
        to address: SocketAddress, from local: SocketAddress? = nil, runtime: IORuntime = .shared,
        deadline: Deadline = .never
    ) async throws(IOError) -> Connection {
        let target = try AddressMemory(address, for: "connect")
        let number = try SocketSetup.make(address, CK_SOCK_STREAM, runtime, "connect")
        let connection = Connection(number, address, runtime)
        do throws(IOError) {
            if let local { try await SocketSetup.bind(connection.handle, local, deadline) }
            let call = SocketCall.connect(connection.descriptor, address: target.base, count: target.count)
            _ = try await connection.handle.perform(.socket(call), deadline, "connect")
            return connection
        } catch {
            connection.handle.abandon()
            throw error
        }
    }

    /// Looks a host up by its name and connects to the first of its addresses that answers, as `connect(toAnyOf:)` does.
    /// Throws what the look-up or the last attempt does.
    public static func connect(
        toHost host: String, port: UInt16, runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) -> Connection {
        let addresses = try await SocketAddress.resolve(host, port: port, runtime: runtime, deadline: deadline)
        guard !addresses.isEmpty else { throw IOError(.nameNotFound, "connect", address: host) }
        return try await connect(toAnyOf: addresses, runtime: runtime, deadline: deadline)
    }
}

/// What sockets of all kinds begin with.
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

    /// bind(2): on a worker for a name in a file system.
    static func bind(_ handle: StreamHandle, _ address: SocketAddress, _ deadline: Deadline) async throws(IOError) {
        let memory = try AddressMemory(address, for: "bind")
        do throws(IOError) {
            let call = SocketCall.bind(handle.descriptor, address: memory.base, count: memory.count)
            _ = try await handle.perform(.socket(call), deadline, "bind")
        } catch {
            var error = error
            error.address = address.description
            throw error
        }
    }
}
