import AIOCore
import CKernel

@testable import AIO
@testable import AIOSimulation

/// Makes system calls, of a simulated kernel or of the real one: the same test runs on both.
struct Caller {
    let call: (SystemCall) -> Int

    static func simulated(_ kernel: SimulatedKernel) -> Caller { Caller { kernel.answer($0) } }
    static var real: Caller { Caller { $0.executed() } }

    private func address(_ pointer: UnsafeRawPointer?) -> Int { Int(bitPattern: pointer) }

    private func make(_ number: Int, _ a: Int = 0, _ b: Int = 0, _ c: Int = 0, _ d: Int = 0, _ e: Int = 0, _ f: Int = 0)
        -> Int
    {
        call(SystemCall(number, a, b, c, d, e, f))
    }

    // MARK: Descriptors

    @discardableResult
    func close(_ number: Int) -> Int { make(Int(CK_NR_close), number) }
    func control(_ number: Int, _ action: Int32, _ value: Int = 0) -> Int {
        make(Int(CK_NR_fcntl), number, Int(action), value)
    }

    func read(_ number: Int, _ count: Int) -> (result: Int, bytes: [UInt8]) {
        var bytes = [UInt8](repeating: 0, count: max(count, 1))
        let result = bytes.withUnsafeMutableBytes { make(Int(CK_NR_read), number, address($0.baseAddress), count) }
        return (result, Array(bytes.prefix(max(result, 0))))
    }

    @discardableResult
    func write(_ number: Int, _ bytes: [UInt8]) -> Int {
        bytes.withUnsafeBytes { make(Int(CK_NR_write), number, address($0.baseAddress), bytes.count) }
    }

    /// preadv2(2) into one buffer, at the current position.
    func readVector(_ number: Int, _ count: Int, flags: UInt32) -> Int {
        var bytes = [UInt8](repeating: 0, count: count)
        return bytes.withUnsafeMutableBytes { buffer in
            var vector = iovec(iov_base: buffer.baseAddress, iov_len: count)
            return make(Int(CK_NR_preadv2), number, address(&vector), 1, -1, 0, Int(flags))
        }
    }

    func writeVector(_ number: Int, _ bytes: [UInt8], flags: UInt32) -> Int {
        var bytes = bytes
        return bytes.withUnsafeMutableBytes { buffer in
            var vector = iovec(iov_base: buffer.baseAddress, iov_len: buffer.count)
            return make(Int(CK_NR_pwritev2), number, address(&vector), 1, -1, 0, Int(flags))
        }
    }

    /// poll(2) for all events, without waiting.
    func events(_ number: Int) -> Int {
        var entry = ck_pollfd(descriptor: Int32(number), events: 0x23df, returned: 0)
        var zero = ck_timespec()
        let result = make(Int(CK_NR_ppoll), address(&entry), 1, address(&zero), 0, 8)
        return result < 0 ? result : Int(entry.returned)
    }

    // MARK: Pipes

    func pipe(_ flags: Int32 = CK_PIPE_NONBLOCK | CK_PIPE_CLOEXEC) -> (result: Int, read: Int, write: Int) {
        var ends: (Int32, Int32) = (-1, -1)
        let result = make(Int(CK_NR_pipe2), address(&ends), Int(flags))
        return (result, Int(ends.0), Int(ends.1))
    }

    func splice(_ from: Int, _ to: Int, _ count: Int) -> Int {
        make(Int(CK_NR_splice), from, 0, to, 0, count, Int(CK_SPLICE_F_NONBLOCK))
    }

    func tee(_ from: Int, _ to: Int, _ count: Int) -> Int {
        make(Int(CK_NR_tee), from, to, count, Int(CK_SPLICE_F_NONBLOCK))
    }

    // MARK: Sockets

    func socket(_ domain: Int32, _ type: Int32) -> Int {
        make(Int(CK_NR_socket), Int(domain), Int(type | CK_SOCK_NONBLOCK | CK_SOCK_CLOEXEC), 0)
    }

    func pair(_ type: Int32) -> (result: Int, one: Int, other: Int) {
        var pair: (Int32, Int32) = (-1, -1)
        let result = make(
            Int(CK_NR_socketpair), Int(CK_AF_UNIX), Int(type | CK_SOCK_NONBLOCK | CK_SOCK_CLOEXEC), 0, address(&pair))
        return (result, Int(pair.0), Int(pair.1))
    }

    private func with(_ name: SocketAddress, _ body: (Int, Int) -> Int) -> Int {
        (try? name.withSystemAddress { body(address($0), Int($1)) }) ?? -Int(EINVAL)
    }

    func bind(_ number: Int, _ name: SocketAddress) -> Int { with(name) { make(Int(CK_NR_bind), number, $0, $1) } }
    func connect(_ number: Int, _ name: SocketAddress) -> Int {
        with(name) { make(Int(CK_NR_connect), number, $0, $1) }
    }
    /// connect(2) with AF_UNSPEC.
    func disconnect(_ number: Int) -> Int {
        var name = ck_socket_address()
        return make(Int(CK_NR_connect), number, address(&name), 16)
    }
    func listen(_ number: Int, _ backlog: Int) -> Int { make(Int(CK_NR_listen), number, backlog) }
    func accept(_ number: Int) -> Int {
        make(Int(CK_NR_accept4), number, 0, 0, Int(CK_SOCK_NONBLOCK | CK_SOCK_CLOEXEC))
    }
    func shutdown(_ number: Int, _ how: Int32) -> Int { make(Int(CK_NR_shutdown), number, Int(how)) }

    func localName(_ number: Int) -> (result: Int, name: SocketAddress?) { name(Int(CK_NR_getsockname), number) }
    func peerName(_ number: Int) -> (result: Int, name: SocketAddress?) { name(Int(CK_NR_getpeername), number) }

    private func name(_ call: Int, _ number: Int) -> (result: Int, name: SocketAddress?) {
        let memory = AddressMemory()
        let result = make(call, number, address(memory.base), address(memory.countPointer))
        return (result, result == 0 ? memory.address : nil)
    }

    func option(_ number: Int, _ level: Int32, _ name: Int32) -> (result: Int, value: Int32) {
        var value: Int32 = -1
        var count: UInt32 = 4
        let result = make(Int(CK_NR_getsockopt), number, Int(level), Int(name), address(&value), address(&count))
        return (result, value)
    }

    func setOption(_ number: Int, _ level: Int32, _ name: Int32, _ value: Int32) -> Int {
        var value = value
        return make(Int(CK_NR_setsockopt), number, Int(level), Int(name), address(&value), 4)
    }

    /// SO_LINGER with 0 seconds.
    func setReset(_ number: Int) -> Int {
        var linger = ck_linger(is_on: 1, seconds: 0)
        return make(
            Int(CK_NR_setsockopt), number, Int(CK_SOL_SOCKET), Int(CK_SO_LINGER), address(&linger),
            MemoryLayout<ck_linger>.size)
    }

    @discardableResult
    func send(_ number: Int, _ bytes: [UInt8], _ flags: Int32 = 0, to name: SocketAddress? = nil) -> Int {
        let flags = Int(flags | CK_MSG_NOSIGNAL | CK_MSG_DONTWAIT)
        return bytes.withUnsafeBytes { buffer in
            let base = address(buffer.baseAddress)
            guard let name else { return make(Int(CK_NR_sendto), number, base, bytes.count, flags) }
            return with(name) { make(Int(CK_NR_sendto), number, base, bytes.count, flags, $0, $1) }
        }
    }

    func receive(_ number: Int, _ count: Int, _ flags: Int32 = 0) -> Reception {
        var bytes = [UInt8](repeating: 0, count: max(count, 1))
        let memory = AddressMemory()
        var message = ck_message()
        let result = bytes.withUnsafeMutableBytes { buffer in
            var vector = iovec(iov_base: buffer.baseAddress, iov_len: count)
            return withUnsafeMutablePointer(to: &vector) { vector in
                message.vectors = vector
                message.vector_count = 1
                message.name = memory.base
                message.name_count = AddressMemory.room
                return make(Int(CK_NR_recvmsg), number, address(&message), Int(flags | CK_MSG_DONTWAIT))
            }
        }
        let sender = SocketAddress(memory: memory.base, count: message.name_count)
        return Reception(
            result: result, bytes: Array(bytes.prefix(min(max(result, 0), count))),
            sender: result >= 0 && message.name_count > 0 ? sender : nil,
            flags: result >= 0 ? message.flags & ~UInt32(bitPattern: CK_MSG_CMSG_CLOEXEC) : 0)
    }

    struct Reception: Equatable {
        var result: Int
        var bytes: [UInt8]
        var sender: SocketAddress?
        var flags: UInt32
    }
}

extension Caller {
    /// MCAST_JOIN_GROUP.
    func join(_ number: Int, _ group: SocketAddress) -> Int {
        var request = [UInt8](repeating: 0, count: MemoryLayout<ck_group_request>.size)
        _ = try? group.withSystemAddress { start, count in
            request.withUnsafeMutableBytes { memory in
                let place = UnsafeMutableRawBufferPointer(rebasing: memory[8...])
                place.copyMemory(from: UnsafeRawBufferPointer(start: start, count: Int(count)))
            }
        }
        return request.withUnsafeBytes { memory in
            call(
                SystemCall(
                    Int(CK_NR_setsockopt), number, Int(CK_IPPROTO_IP), Int(CK_MCAST_JOIN_GROUP),
                    Int(bitPattern: memory.baseAddress), memory.count))
        }
    }
}
