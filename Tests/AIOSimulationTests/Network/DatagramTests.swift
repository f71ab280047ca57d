import AIO
import AIOCore
import CKernel
import Testing

@testable import AIOSimulation

/// UDP between two hosts.
struct DatagramTests {
    private func receiver(_ hosts: Hosts) -> Int {
        let number = hosts.callers[1].socket(CK_AF_INET, CK_SOCK_DGRAM)
        _ = hosts.callers[1].bind(number, .v4(.any, port: 53))
        return number
    }

    @Test func datagramsArriveWholeOrNotAtAll() {
        let hosts = Hosts(seed: 3)
        hosts.network.setLink(hosts.node(0), hosts.node(1)) { $0.loss = 0.3 }
        let receiver = receiver(hosts)
        let sender = hosts.callers[0].socket(CK_AF_INET, CK_SOCK_DGRAM)
        var received: [Int] = []
        for size in 1...200 {
            #expect(
                hosts.callers[0].send(sender, [UInt8](repeating: UInt8(size), count: size), to: hosts.address(1, 53))
                    == size)
            hosts.run(for: 10_000_000)
            let reception = hosts.callers[1].receive(receiver, 1000)
            guard reception.result >= 0 else { continue }
            #expect(reception.bytes == [UInt8](repeating: UInt8(size), count: size))
            received.append(reception.result)
        }
        #expect((100...180).contains(received.count))
    }

    @Test func jitterLetsDatagramsOvertakeEachOther() {
        let hosts = Hosts(seed: 1)
        hosts.network.defaultLink.jitter = 50_000_000
        let receiver = receiver(hosts)
        let sender = hosts.callers[0].socket(CK_AF_INET, CK_SOCK_DGRAM)
        for number in 0..<50 { hosts.callers[0].send(sender, [UInt8(number)], to: hosts.address(1, 53)) }
        hosts.run(for: 1_000_000_000)
        let received = (0..<50).flatMap { _ in hosts.callers[1].receive(receiver, 10).bytes }
        #expect(received.sorted() == (0..<50).map { UInt8($0) })
        #expect(received != received.sorted())
    }

    @Test func aPortWithoutReceiverRefusesAConnectedSender() {
        let hosts = Hosts(seed: 1)
        let sender = hosts.callers[0].socket(CK_AF_INET, CK_SOCK_DGRAM)
        #expect(hosts.callers[0].connect(sender, hosts.address(1, 53)) == 0)
        #expect(hosts.callers[0].send(sender, [1]) == 1)
        #expect(hosts.run { hosts.callers[0].events(sender) & Int(CK_POLLERR) != 0 })
        #expect(hosts.callers[0].receive(sender, 1).result == -Int(ECONNREFUSED))
    }

    @Test func aPartitionLosesDatagrams() {
        let hosts = Hosts(seed: 1)
        let receiver = receiver(hosts)
        let sender = hosts.callers[0].socket(CK_AF_INET, CK_SOCK_DGRAM)
        hosts.callers[0].send(sender, [1], to: hosts.address(1, 53))
        hosts.network.partition(hosts.node(0), hosts.node(1))
        hosts.run(for: 1_000_000_000)
        #expect(hosts.callers[1].receive(receiver, 1).result == -Int(EAGAIN))
        hosts.network.heal(hosts.node(0), hosts.node(1))
        hosts.callers[0].send(sender, [2], to: hosts.address(1, 53))
        hosts.run(for: 1_000_000_000)
        #expect(hosts.callers[1].receive(receiver, 1).bytes == [2])
    }

    @Test func aGroupsDatagramsReachItsMembers() throws {
        let hosts = Hosts(seed: 1, 3)
        let group = try #require(IPv4Address("239.1.2.3"))
        let members = (0..<3).map { index in
            let number = hosts.callers[index].socket(CK_AF_INET, CK_SOCK_DGRAM)
            _ = hosts.callers[index].bind(number, .v4(.any, port: 53))
            return number
        }
        for index in 0..<2 { #expect(hosts.callers[index].join(members[index], .v4(group, port: 0)) == 0) }
        #expect(hosts.callers[0].send(members[0], [1], to: .v4(group, port: 53)) == 1)
        hosts.run(for: 1_000_000_000)
        #expect(hosts.callers[0].receive(members[0], 1).bytes == [1])
        #expect(hosts.callers[1].receive(members[1], 1).bytes == [1])
        #expect(hosts.callers[2].receive(members[2], 1).result == -Int(EAGAIN))
    }

    @Test func theNetworkKnowsItsHostsByName() {
        let hosts = Hosts(seed: 1)
        #expect(hosts.network.resolve("host1") == hosts.node(1).addresses)
        #expect(hosts.network.resolve("nobody") == nil)
    }
}
