internal import CKernel

extension ck_uring_submission {
    /// Encodes a socket call as a submission entry. The caller checks whether the kernel supports the opcode.
    mutating func encode(_ call: SocketCall, supported opcodes: UInt64) {
        switch call {
        case .create(let domain, let type, let number):
            opcode = CK_URING_OP_SOCKET
            descriptor = domain
            offset = UInt64(UInt32(bitPattern: type))
            count = UInt32(bitPattern: number)
        case .bind(let socket, let address, let count):
            encode(socket, CK_URING_OP_BIND, offset: Int64(count))
            self.address = UInt64(UInt(bitPattern: address))
        case .listen(let socket, let backlog):
            encode(socket, CK_URING_OP_LISTEN)
            count = UInt32(bitPattern: backlog)
        case .accept(let socket, let address, let count, let flags):
            encode(socket, CK_URING_OP_ACCEPT, offset: Int64(Int(bitPattern: count)))
            self.address = UInt64(UInt(bitPattern: address))
            operation_flags = UInt32(bitPattern: flags)
        case .connect(let socket, let address, let count):
            encode(socket, CK_URING_OP_CONNECT, offset: Int64(count))
            self.address = UInt64(UInt(bitPattern: address))
        case .shutdown(let socket, let how):
            encode(socket, CK_URING_OP_SHUTDOWN)
            count = UInt32(bitPattern: how)
        case .receive, .send, .receiveMessage, .sendMessage:
            encodeTransfer(call, supported: opcodes)
        case .sendZeroCopy(let socket, let bytes, let count, let flags):
            let hasZeroCopy = opcodes & (1 << UInt64(CK_URING_OP_SEND_ZC)) != 0
            let opcode = hasZeroCopy ? CK_URING_OP_SEND_ZC : CK_URING_OP_SEND
            encode(socket, opcode, bytes, count, SocketCall.sendFlags(flags))
        case .acceptEach, .receiveBuffered:
            // The queue issues these as single steps.
            break
        }
    }

    private mutating func encodeTransfer(_ call: SocketCall, supported opcodes: UInt64) {
        switch call {
        case .receive(let socket, let buffer, let count, let flags, _):
            encode(socket, CK_URING_OP_RECV, buffer, count, SocketCall.receiveFlags(flags))
        case .send(let socket, let bytes, let count, let flags, _):
            encode(socket, CK_URING_OP_SEND, bytes, count, SocketCall.sendFlags(flags))
        case .receiveMessage(let socket, let message, let flags, _):
            encode(socket, CK_URING_OP_RECVMSG, message, 1, SocketCall.receiveFlags(flags))
        case .sendMessage(let socket, let message, let flags, _):
            encode(socket, CK_URING_OP_SENDMSG, message, 1, SocketCall.sendFlags(flags))
        default:
            break
        }
        // The flag has no probe of its own. It came with 5.19, and kernels with SEND_ZC (6.0) have it.
        if call.waitsFirst, opcodes & (1 << UInt64(CK_URING_OP_SEND_ZC)) != 0 {
            io_priority |= CK_URING_SEND_RECEIVE_POLL_FIRST
        }
    }

    private mutating func encode(
        _ socket: Descriptor, _ opcode: UInt8, _ base: UnsafeRawPointer?, _ count: Int, _ flags: Int32
    ) {
        encode(socket, opcode)
        address = UInt64(UInt(bitPattern: base))
        // The kernel transfers at most 2 GiB less a page per call; a longer transfer is short in any case.
        self.count = UInt32(clamping: min(count, Int(Int32.max) & ~4095))
        operation_flags = UInt32(bitPattern: flags)
    }
}
