import AIO
import AIOCore
import CKernel
import Testing

@testable import AIOSimulation

/// TCP between two hosts.
struct ConnectionTests {
    /// Sends random amounts in one direction while the other side reads random amounts.
    private struct Transfer {
        let hosts: Hosts
        let from: (host: Int, number: Int)
        let to: (host: Int, number: Int)
        let bytes: [UInt8]
        var sent = 0
        var received: [UInt8] = []
        var hasEnded = false

        mutating func step(_ random: inout SimulatedRandom) {
            if sent < bytes.count {
                let end = min(bytes.count, sent + 1 + random.below(1500))
                sent += max(0, hosts.callers[from.host].send(from.number, Array(bytes[sent..<end])))
                if sent == bytes.count { _ = hosts.callers[from.host].shutdown(from.number, CK_SHUT_WR) }
            }
            let reception = hosts.callers[to.host].receive(to.number, 1 + random.below(3000))
            received += reception.bytes
            if reception.result == 0 { hasEnded = true }
        }
    }

    /// Bytes whose places can be told apart.
    private let pattern = (0..<8000).map { UInt8(truncatingIfNeeded: $0 % 251) }

    @Test func bytesArriveInOrderInEachOfAThousandLossyWorlds() throws {
        for seed in 0..<1000 as Range<UInt64> {
            let hosts = Hosts(seed: seed)
            hosts.network.defaultLink.loss = Double(seed % 5) * 0.02
            hosts.network.defaultLink.jitter = Nanoseconds(seed % 7) * 1_000_000
            hosts.network.defaultLink.segmentSize = 500
            let (client, server) = try #require(hosts.connection(), "seed \(seed)")
            var random = SimulatedRandom(seed: seed)
            let bytes = Array(pattern[..<(2000 + random.below(6000))])
            var there = Transfer(hosts: hosts, from: (0, client), to: (1, server), bytes: bytes)
            var back = Transfer(hosts: hosts, from: (1, server), to: (0, client), bytes: Array(bytes.reversed()))
            while !(there.hasEnded && back.hasEnded), hosts.world.nextEvent != .never {
                there.step(&random)
                back.step(&random)
                hosts.world.runNextEvent()
            }
            there.step(&random)
            back.step(&random)
            try #require(there.received == bytes && back.received == bytes.reversed(), "seed \(seed)")
        }
    }

    @Test func theSameSeedHasTheSameTraceAndAnotherHasAnother() throws {
        func hash(_ seed: UInt64) throws -> UInt64 {
            let hosts = Hosts(seed: seed)
            hosts.network.defaultLink.loss = 0.1
            let (client, server) = try #require(hosts.connection())
            hosts.callers[0].send(client, Array(repeating: 1, count: 20000))
            hosts.run(for: 5_000_000_000)
            _ = hosts.callers[1].receive(server, 100_000)
            hosts.run(for: 5_000_000_000)
            return hosts.world.trace.hash
        }
        #expect(try hash(1) == hash(1))
        #expect(try hash(1) != hash(2))
    }

    @Test func oneDirectionEndsWhileTheOtherContinues() throws {
        let hosts = Hosts(seed: 1)
        let (client, server) = try #require(hosts.connection())
        #expect(hosts.callers[0].shutdown(client, CK_SHUT_WR) == 0)
        #expect(hosts.run { hosts.callers[1].events(server) & Int(CK_POLLRDHUP) != 0 })
        #expect(hosts.callers[1].receive(server, 10).result == 0)
        #expect(hosts.callers[0].send(client, [1]) == -Int(EPIPE))
        #expect(hosts.callers[1].send(server, [1, 2]) == 2)
        #expect(hosts.run { hosts.isReadable(0, client) })
        #expect(hosts.callers[0].receive(client, 10).bytes == [1, 2])
        hosts.callers[1].close(server)
        #expect(hosts.run { hosts.callers[0].receive(client, 10).result == 0 })
    }

    @Test func aReaderThatDoesNotReadStopsTheSender() throws {
        let hosts = Hosts(seed: 1)
        let (client, server) = try #require(hosts.connection())
        let piece = [UInt8](repeating: 7, count: 10000)
        var sent = 0
        while sent < 10_000_000 {
            let result = hosts.callers[0].send(client, piece)
            if result == -Int(EAGAIN), !hosts.run(10_000_000_000, until: { hosts.canSend(client) }) { break }
            sent += max(0, result)
        }
        #expect(sent < 2_000_000)
        #expect(!hosts.canSend(client))
        var received = 0
        #expect(
            hosts.run {
                received += max(0, hosts.callers[1].receive(server, 100_000).result)
                return hosts.canSend(client)
            })
        #expect(
            hosts.run {
                received += max(0, hosts.callers[1].receive(server, 100_000).result)
                return received == sent
            })
    }

    @Test func aClosedWindowIsNoEventToWaitFor() throws {
        let hosts = Hosts(seed: 1)
        let (client, _) = try #require(hosts.connection())
        let piece = [UInt8](repeating: 7, count: 10000)
        #expect(
            !hosts.run {
                while hosts.callers[0].send(client, piece) > 0 {}
                return false
            })
        #expect(hosts.world.nextEvent == .never)
        // The peer's host vanishes: now the connection has to find out.
        hosts.network.crash(hosts.node(1))
        #expect(hosts.run { hosts.callers[0].events(client) & Int(CK_POLLERR) != 0 })
        #expect(hosts.callers[0].receive(client, 1).result == -Int(ETIMEDOUT))
    }

    @Test func dataOfAPartitionArrivesAfterItHeals() throws {
        let hosts = Hosts(seed: 1)
        let (client, server) = try #require(hosts.connection())
        hosts.network.partition(hosts.node(0), hosts.node(1))
        #expect(hosts.callers[0].send(client, [1, 2, 3]) == 3)
        hosts.run(for: 60_000_000_000)
        #expect(!hosts.isReadable(1, server))
        hosts.network.heal(hosts.node(0), hosts.node(1))
        #expect(hosts.run { hosts.isReadable(1, server) })
        #expect(hosts.callers[1].receive(server, 10).bytes == [1, 2, 3])
    }

    @Test func dataInOneDirectionPassesWhileTheOtherIsCut() throws {
        let hosts = Hosts(seed: 1)
        let (client, server) = try #require(hosts.connection())
        hosts.network.cut(from: hosts.node(1), to: hosts.node(0))
        #expect(hosts.callers[0].send(client, [1]) == 1)
        #expect(hosts.run { hosts.isReadable(1, server) })
        #expect(hosts.callers[1].send(server, [2]) == 1)
        hosts.run(for: 10_000_000_000)
        #expect(!hosts.isReadable(0, client))
    }

    @Test func unacknowledgedDataTimesOut() throws {
        let hosts = Hosts(seed: 1)
        let (client, _) = try #require(hosts.connection())
        hosts.network.dataTimeout = 30_000_000_000
        hosts.network.partition(hosts.node(0), hosts.node(1))
        #expect(hosts.callers[0].send(client, [1]) == 1)
        let begun = hosts.world.now
        #expect(hosts.run { hosts.callers[0].events(client) & Int(CK_POLLERR) != 0 })
        #expect(hosts.world.now - begun >= 30_000_000_000)
        #expect(hosts.callers[0].receive(client, 1).result == -Int(ETIMEDOUT))
        #expect(hosts.callers[0].send(client, [1]) == -Int(EPIPE))
    }

    @Test func aConnectToNobodyTimesOut() {
        let hosts = Hosts(seed: 1)
        hosts.network.partition(hosts.node(0), hosts.node(1))
        _ = hosts.listener()
        let client = hosts.callers[0].socket(CK_AF_INET, CK_SOCK_STREAM)
        #expect(hosts.callers[0].connect(client, hosts.address(1, 80)) == -Int(EINPROGRESS))
        #expect(hosts.callers[0].connect(client, hosts.address(1, 80)) == -Int(EALREADY))
        #expect(hosts.run { hosts.callers[0].events(client) & Int(CK_POLLERR) != 0 })
        #expect(hosts.callers[0].connect(client, hosts.address(1, 80)) == -Int(ETIMEDOUT))
    }

    @Test func aConnectToAPortWithoutListenerIsRefused() {
        let hosts = Hosts(seed: 1)
        let client = hosts.callers[0].socket(CK_AF_INET, CK_SOCK_STREAM)
        #expect(hosts.callers[0].connect(client, hosts.address(1, 80)) == -Int(EINPROGRESS))
        #expect(hosts.run { hosts.callers[0].events(client) & Int(CK_POLLERR) != 0 })
        #expect(hosts.callers[0].option(client, CK_SOL_SOCKET, CK_SO_ERROR).value == ECONNREFUSED)
    }

    @Test func aFullBacklogDelaysAConnectUntilThereIsRoom() {
        let hosts = Hosts(seed: 1)
        let listener = hosts.listener(backlog: 0)
        let clients = (0..<2).map { _ in hosts.callers[0].socket(CK_AF_INET, CK_SOCK_STREAM) }
        for client in clients { _ = hosts.callers[0].connect(client, hosts.address(1, 80)) }
        hosts.run(for: 500_000_000)
        #expect(clients.count(where: { hosts.canSend($0) }) == 1)
        #expect(hosts.callers[1].accept(listener) >= 0)
        #expect(hosts.run { clients.allSatisfy { hosts.canSend($0) } })
    }

    @Test func aHostThatComesBackResetsFormerConnections() throws {
        let hosts = Hosts(seed: 1)
        let (client, _) = try #require(hosts.connection())
        hosts.network.crash(hosts.node(1))
        #expect(hosts.callers[0].send(client, [1]) == 1)
        hosts.run(for: 20_000_000_000)
        #expect(hosts.callers[0].receive(client, 1).result == -Int(EAGAIN))
        hosts.network.restart(hosts.node(1))
        #expect(hosts.run { hosts.callers[0].events(client) & Int(CK_POLLERR) != 0 })
        #expect(hosts.callers[0].receive(client, 1).result == -Int(ECONNRESET))
    }

    @Test func keepAliveFindsAPeerThatHasVanished() throws {
        let hosts = Hosts(seed: 1)
        let (client, _) = try #require(hosts.connection())
        for (level, name, value) in [
            (CK_IPPROTO_TCP, CK_TCP_KEEPIDLE, 10), (CK_IPPROTO_TCP, CK_TCP_KEEPINTVL, 5),
            (CK_IPPROTO_TCP, CK_TCP_KEEPCNT, 3), (CK_SOL_SOCKET, CK_SO_KEEPALIVE, 1),
        ] as [(Int32, Int32, Int32)] {
            #expect(hosts.callers[0].setOption(client, level, name, value) == 0)
        }
        hosts.run(for: 100_000_000_000)
        #expect(hosts.callers[0].receive(client, 1).result == -Int(EAGAIN))
        hosts.network.crash(hosts.node(1))
        #expect(hosts.run(40_000_000_000) { hosts.callers[0].events(client) & Int(CK_POLLERR) != 0 })
        #expect(hosts.callers[0].receive(client, 1).result == -Int(ETIMEDOUT))
    }

    @Test func aResetOnDemandEndsBothSides() throws {
        let hosts = Hosts(seed: 1)
        let (client, server) = try #require(hosts.connection())
        hosts.network.reset(hosts.node(0), hosts.node(1))
        #expect(hosts.callers[0].receive(client, 1).result == -Int(ECONNRESET))
        #expect(hosts.callers[1].send(server, [1]) == -Int(ECONNRESET))
        #expect(hosts.callers[1].send(server, [1]) == -Int(EPIPE))
    }

    @Test func unreadDataAtACloseResetsThePeer() throws {
        let hosts = Hosts(seed: 1)
        let (client, server) = try #require(hosts.connection())
        #expect(hosts.callers[0].send(client, [1]) == 1)
        #expect(hosts.run { hosts.isReadable(1, server) })
        hosts.callers[1].close(server)
        #expect(hosts.run { hosts.callers[0].events(client) & Int(CK_POLLERR) != 0 })
        #expect(hosts.callers[0].receive(client, 1).result == -Int(ECONNRESET))
    }

    @Test func bandwidthLimitsATransfer() throws {
        let hosts = Hosts(seed: 1)
        hosts.network.setLink(hosts.node(0), hosts.node(1)) { $0.bytesPerSecond = 100_000 }
        let (client, server) = try #require(hosts.connection())
        let begun = hosts.world.now
        var sent = 0
        var received = 0
        #expect(
            hosts.run {
                let rest = min(20000, 300_000 - sent)
                if rest > 0 { sent += max(0, hosts.callers[0].send(client, Array(repeating: 1, count: rest))) }
                received += max(0, hosts.callers[1].receive(server, 50000).result)
                return received == 300_000
            })
        #expect((3_000_000_000...4_000_000_000).contains(hosts.world.now - begun))
    }

    @Test func closedConnectionsLeaveNothingBehind() throws {
        let hosts = Hosts(seed: 1)
        let (client, server) = try #require(hosts.connection())
        hosts.callers[0].close(client)
        hosts.callers[1].close(server)
        hosts.run(for: 200_000_000_000)
        #expect(hosts.node(0).tcp.connections.isEmpty)
        #expect(hosts.node(1).tcp.connections.isEmpty)
        #expect(hosts.node(1).tcp.ports.isFree(80))
        #expect(hosts.world.nextEvent == .never)
    }
}

extension Hosts {
    func canSend(_ number: Int) -> Bool { callers[0].events(number) & Int(CK_POLLOUT) != 0 }
}
