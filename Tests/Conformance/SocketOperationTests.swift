import AIO
import AIOCore
import CKernel
import Glibc
import Testing

/// Operations on sockets return what the system calls return, and waiting ones do not delay others.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct SocketOperationTests {
    @Test(arguments: ways, SocketFamily.available)
    func aSocketIsMadeNamedAndListenedOn(_ way: Way, _ family: SocketFamily) async throws {
        try await way.run { performer in
            let made = SocketCall.create(domain: family.domain, type: CK_SOCK_STREAM | CK_SOCK_CLOEXEC, protocol: 0)
            let descriptor = try await performer.perform(.socket(made))
            defer { closeDescriptor(descriptor) }
            let socket = Descriptor.socket(descriptor)
            let name = family.anyName
            let bind = SocketCall.bind(socket, address: name.base, count: name.count.pointee)
            try await performer.expect(.socket(bind), completesWith: 0)
            try await performer.expect(.socket(.listen(socket, backlog: 5)), completesWith: 0)
            let listener = Listener(descriptor: descriptor, family: family, name: SocketName(of: descriptor))
            closeDescriptor(try listener.connected())
            let accept = SocketCall.accept(socket, address: nil, count: nil, flags: CK_SOCK_CLOEXEC)
            closeDescriptor(try await performer.perform(.socket(accept)))
            if family != .unix { await performer.expect(.socket(bind), failsWith: EINVAL) }
            withExtendedLifetime(name) {}
        }
    }

    @Test(arguments: ways)
    func aSocketIsOfTheProtocolThatIsAskedFor(_ way: Way) async throws {
        try await way.run { performer in
            let type = CK_SOCK_DGRAM | CK_SOCK_CLOEXEC
            let tcp = SocketCall.create(domain: AF_INET, type: type, protocol: Int32(IPPROTO_TCP))
            await performer.expect(.socket(tcp), failsWith: EPROTONOSUPPORT)
            let udp = SocketCall.create(domain: AF_INET, type: type, protocol: Int32(IPPROTO_UDP))
            closeDescriptor(try await performer.perform(.socket(udp)))
        }
    }

    @Test(arguments: ways, SocketFamily.available)
    func acceptReturnsTheConnectionItsAddressAndItsFlags(_ way: Way, _ family: SocketFamily) async throws {
        try await way.run { performer in
            try await Listener.with(family) { listener in
                let client = try listener.connected()
                defer { closeDescriptor(client) }
                let peer = SocketName()
                let accept = SocketCall.accept(
                    .socket(listener.descriptor), address: peer.base, count: peer.count,
                    flags: CK_SOCK_CLOEXEC | CK_SOCK_NONBLOCK)
                let server = try await performer.perform(.socket(accept))
                defer { closeDescriptor(server) }
                #expect(peer.bytes == SocketName(of: client).bytes)
                #expect(fcntl(server, F_GETFD) & FD_CLOEXEC != 0)
                #expect(fcntl(server, F_GETFL) & O_NONBLOCK != 0)
                #expect(Glibc.send(client, [UInt8(7)], 1, 0) == 1)
                let memory = Memory(count: 4)
                try await performer.expect(memory.receive(server), completesWith: 1)
                #expect(memory.bytes(1) == [7])
            }
        }
    }

    @Test(arguments: engines, [false, true])
    func anAcceptWaitsForAConnection(_ engine: EngineKind, _ nonBlocking: Bool) async throws {
        try await withRuntime(engine) { runtime in
            try await Listener.with(nonBlocking: nonBlocking) { listener in
                let accept = Task { try await runtime.perform(listener.accept) }
                try await eventually { runtime.inFlightCount == 1 }
                let client = try listener.connected()
                closeDescriptor(try await accept.value)
                // The other end is closed, and no other descriptor holds it open.
                var byte: UInt8 = 0
                #expect(read(client, &byte, 1) == 0)
                closeDescriptor(client)
            }
        }
    }

    @Test(arguments: ways, SocketFamily.available)
    func connectReachesAListener(_ way: Way, _ family: SocketFamily) async throws {
        try await way.run { performer in
            for nonBlocking in [false, true] { try await connect(family, nonBlocking, performer) }
        }
    }

    private func connect(_ family: SocketFamily, _ nonBlocking: Bool, _ performer: Performer) async throws {
        try await Listener.with(family) { listener in
            let client = try listener.socket(nonBlocking: nonBlocking)
            defer { closeDescriptor(client) }
            let before = fcntl(client, F_GETFL)
            try await performer.expect(listener.connect(client), completesWith: 0)
            #expect(fcntl(client, F_GETFL) == before)
            let server = try await performer.perform(listener.accept)
            defer { closeDescriptor(server) }
            let sent = Memory([1, 2, 3])
            try await performer.expect(sent.send(client), completesWith: 3)
            let received = Memory(count: 10)
            try await performer.expect(received.receive(server), completesWith: 3)
            #expect(received.bytes(3) == [1, 2, 3])
            await performer.expect(listener.connect(client), failsWith: EISCONN)
            withExtendedLifetime(sent) {}
        }
    }

    /// A file that is open for reading alone has no flags.
    @Test(arguments: ways)
    func whatIsNotASocketCannotConnect(_ way: Way) async throws {
        try await withScratch { scratch in
            let reading = try openDescriptor(try scratch.file("file", [1]), O_RDONLY | O_CLOEXEC)
            defer { closeDescriptor(reading) }
            try await Listener.with(.v4) { listener in
                try await way.run { performer in
                    await performer.expect(listener.connect(reading), failsWith: ENOTSOCK)
                }
            }
        }
    }

    @Test(arguments: ways, SocketFamily.available)
    func aConnectToNobodyIsRefused(_ way: Way, _ family: SocketFamily) async throws {
        // Bound, so that the address is not reused, but not listening.
        let silent = try boundSocket(family, CK_SOCK_STREAM)
        defer { closeDescriptor(silent) }
        let nobody = Listener(descriptor: silent, family: family, name: SocketName(of: silent))
        try await way.run { performer in
            let client = try nobody.socket()
            defer { closeDescriptor(client) }
            await performer.expect(nobody.connect(client), failsWith: ECONNREFUSED)
        }
    }

    @Test(arguments: engines, SocketFamily.available)
    func aConnectWaitsForRoomAtTheListener(_ engine: EngineKind, _ family: SocketFamily) async throws {
        try await withRuntime(engine) { runtime in
            try await Listener.with(family, backlog: 0) { listener in
                let others = try listener.fillUp()
                let client = try listener.socket()
                let connect = Task { try await runtime.perform(listener.connect(client)) }
                try await eventually { runtime.inFlightCount == 1 }
                // The earlier connections, and the connects in progress, are closed.
                for socket in others { closeDescriptor(socket) }
                // Returns what it accepted until it is cancelled.
                let accepts = Task { [others] in
                    var accepted: [Int32] = []
                    for _ in others {
                        guard let server = try? await runtime.perform(listener.accept) else { break }
                        accepted.append(server)
                    }
                    return accepted
                }
                #expect(try await connect.value == 0)
                accepts.cancel()
                for socket in await accepts.value + [client] { closeDescriptor(socket) }
            }
        }
    }

    @Test(arguments: ways, SocketFamily.available)
    func receiveIsShortAndThenZeroAtTheEnd(_ way: Way, _ family: SocketFamily) async throws {
        try await way.run { performer in
            try await withConnection(family) { client, server in
                let sent = Memory([1, 2, 3])
                try await performer.expect(sent.send(client), completesWith: 3)
                let shut = SocketCall.shutdown(.socket(client), how: CK_SHUT_WR)
                try await performer.expect(.socket(shut), completesWith: 0)
                let received = Memory(count: 100)
                let peeked = try await performer.perform(received.receive(server, flags: CK_MSG_PEEK))
                #expect(peeked == 3)
                try await performer.expect(received.receive(server, flags: CK_MSG_WAITALL), completesWith: 3)
                try await performer.expect(received.receive(server), completesWith: 0)
                withExtendedLifetime(sent) {}
            }
        }
    }

    @Test(arguments: ways, SocketFamily.available)
    func aSendWithoutAReceiverFailsWithEPIPE(_ way: Way, _ family: SocketFamily) async throws {
        try await way.run { performer in
            try await withConnection(family) { client, _ in
                #expect(Glibc.shutdown(client, Int32(SHUT_WR)) == 0)
                let memory = Memory([1])
                await performer.expect(memory.send(client), failsWith: EPIPE)
                let message = Message([memory])
                message.header.pointee.name = nil
                message.header.pointee.name_count = 0
                await performer.expect(message.send(client), failsWith: EPIPE)
                withExtendedLifetime(message) {}
            }
        }
    }

    @Test(arguments: ways, SocketFamily.available)
    func aSendFromWhereTheBytesLieCompletesOnce(_ way: Way, _ family: SocketFamily) async throws {
        let content = KnownContent(seed: 9)
        try await way.run { performer in
            try await withConnection(family) { client, server in
                let memory = Memory(content.bytes(count: 20_000, at: 0))
                let send = SocketCall.sendZeroCopy(.socket(client), memory.base, count: memory.count, flags: 0)
                for _ in 0..<3 {
                    let count = Int(try await performer.perform(.socket(send)))
                    #expect(count > 0)
                    var arrived: [UInt8] = []
                    while arrived.count < count {
                        arrived += Ends(reading: server, writing: client).get(count - arrived.count)
                    }
                    #expect(content.mismatch(arrived, at: 0) == nil)
                }
                #expect(Glibc.shutdown(client, Int32(SHUT_WR)) == 0)
                await performer.expect(.socket(send), failsWith: EPIPE)
                withExtendedLifetime(memory) {}
            }
        }
    }

    @Test(arguments: ways)
    func whatIsNoSocketIsRefused(_ way: Way) async throws {
        try await way.run { performer in
            try await Ends.with(.pipe) { ends in
                let memory = Memory([1])
                await performer.expect(memory.receive(ends.reading), failsWith: ENOTSOCK)
                await performer.expect(memory.send(ends.writing), failsWith: ENOTSOCK)
                let accept = SocketCall.accept(.socket(ends.reading), address: nil, count: nil, flags: 0)
                await performer.expect(.socket(accept), failsWith: ENOTSOCK)
                await performer.expect(memory.receive(1_000_000), failsWith: EBADF)
                let shut = SocketCall.shutdown(.socket(ends.reading), how: CK_SHUT_RD)
                await performer.expect(.socket(shut), failsWith: ENOTSOCK)
                withExtendedLifetime(memory) {}
            }
        }
    }

    @Test(arguments: ways)
    func withDontWaitNothingWaits(_ way: Way) async throws {
        try await way.run { performer in
            try await withConnection { client, _ in
                let memory = Memory(count: 1)
                await performer.expect(memory.receive(client, flags: CK_MSG_DONTWAIT), failsWith: EAGAIN)
                withExtendedLifetime(memory) {}
            }
        }
    }

    @Test(arguments: ways, SocketFamily.available)
    func datagramsCarryTheirSendersAddress(_ way: Way, _ family: SocketFamily) async throws {
        let one = try boundSocket(family, CK_SOCK_DGRAM)
        let other = try boundSocket(family, CK_SOCK_DGRAM)
        defer {
            closeDescriptor(one)
            closeDescriptor(other)
        }
        try await way.run { performer in
            for round in UInt8(0)..<3 {
                let sent = Message([Memory([round]), Memory([8, 9])], SocketName(of: other))
                try await performer.expect(sent.send(one), completesWith: 3)
                let received = Message([Memory(count: 2), Memory(count: 5)])
                try await performer.expect(received.receive(other), completesWith: 3)
                #expect(received.vectors.parts[0].bytes + received.vectors.parts[1].bytes(1) == [round, 8, 9])
                received.name.count.pointee = received.header.pointee.name_count
                #expect(received.name.bytes == SocketName(of: one).bytes)
                withExtendedLifetime(sent) {}
            }
        }
    }

    @Test(arguments: engines)
    func aDatagramWaitsForRoomAtAReceiverThatNoPollTellsOf(_ engine: EngineKind) async throws {
        let receiver = try boundSocket(.unix, CK_SOCK_DGRAM)
        let sender = try boundSocket(.unix, CK_SOCK_DGRAM | CK_SOCK_NONBLOCK)
        defer {
            closeDescriptor(receiver)
            closeDescriptor(sender)
        }
        let name = SocketName(of: receiver)
        var queued = 0
        let address = UnsafePointer<sockaddr>(OpaquePointer(name.base))
        while Glibc.sendto(sender, [UInt8(1)], 1, 0, address, name.count.pointee) == 1 { queued += 1 }
        try await withRuntime(engine) { runtime in
            let message = Message([Memory([42])], name)
            let send = Task { try await runtime.perform(message.send(sender)) }
            try await eventually { runtime.inFlightCount == 1 }
            var byte: UInt8 = 0
            for _ in 0..<queued { #expect(read(receiver, &byte, 1) == 1) }
            #expect(try await send.value == 1)
            let last = Memory(count: 1)
            #expect(try await runtime.perform(last.receive(receiver)) == 1)
            #expect(last.bytes == [42])
            withExtendedLifetime(message) {}
        }
    }
}

extension Listener {
    var accept: AIOCore.Operation {
        .socket(.accept(.socket(descriptor), address: nil, count: nil, flags: CK_SOCK_CLOEXEC))
    }

    func connect(_ socket: Int32) -> AIOCore.Operation {
        .socket(.connect(.socket(socket), address: name.base, count: name.count.pointee))
    }
}
