import AIO
import CKernel
import UnitSupport

@testable import AIOSimulation

extension SeededGenerator {
    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }

    /// Sizes around the limits that matter, and others.
    mutating func size(upTo most: Int) -> Int {
        switch below(6) {
        case 0: below(8)
        case 1: min(most, 4090 + below(12))
        case 2: below(most)
        default: below(min(most, 600))
        }
    }

    mutating func bytes(_ count: Int) -> [UInt8] {
        let start = below(251)
        return Array(pattern[start..<start + count])
    }
}

/// Bytes whose places can be told apart.
private let pattern = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 % 251) }

extension Differential {
    // MARK: What there is

    mutating func addPipe() {
        compare("pipe2") { side in
            let pipe = side.caller.pipe()
            side.add(pipe.read)
            side.add(pipe.write)
            return Answer(result: pipe.result)
        }
    }

    mutating func addPair(_ type: Int32) {
        compare("socketpair") { side in
            let pair = side.caller.pair(type)
            side.add(pair.one)
            side.add(pair.other)
            return Answer(result: pair.result)
        }
    }

    mutating func addSocket(_ domain: Int32, _ type: Int32) {
        compare("socket") { side in
            let number = side.caller.socket(domain, type)
            // The simulation has no Nagle algorithm, which would delay a part of what is sent.
            if domain != CK_AF_UNIX { _ = side.caller.setOption(number, CK_IPPROTO_TCP, CK_TCP_NODELAY, 1) }
            side.add(number)
            return Answer(result: min(number, 0))
        }
    }

    // MARK: Steps

    private mutating func close(_ index: Int) {
        compare("close \(index)") { side in
            let result = side.caller.close(side.numbers[index])
            side.numbers[index] = -1
            return Answer(result: result)
        }
    }

    private mutating func read(_ index: Int, _ count: Int) {
        compare("read \(index) \(count)") { side in
            let (result, bytes) = side.caller.read(side.numbers[index], count)
            return Answer(result: result, bytes: bytes)
        }
    }

    mutating func stepPipes(_ random: inout SeededGenerator) {
        let (index, other) = (random.below(count), random.below(count))
        let size = random.size(upTo: 70000)
        switch random.below(16) {
        case 0...4:
            // Writes without a reader would raise SIGPIPE in the real process.
            guard isOpen(index | 1), isOpen(index & ~1) else { return }
            let bytes = random.bytes(size)
            compare("write \(index | 1) \(size)") { Answer(result: $0.caller.write($0.numbers[index | 1], bytes)) }
        case 5...9: read(index & ~1, size)
        case 10: if random.below(4) == 0 { close(index) }
        case 11:
            let pages = 1 << random.below(6)
            compare("resize \(index) \(pages)") {
                Answer(result: $0.caller.control($0.numbers[index], CK_F_SETPIPE_SZ, pages * 4096 - 5))
            }
        case 12, 13:
            guard other & 1 == 1, isOpen(other & ~1) else { return }
            compare("splice \(index) \(other) \(size)") {
                Answer(result: $0.caller.splice($0.numbers[index], $0.numbers[other], size))
            }
        case 14:
            guard other & 1 == 1, isOpen(other & ~1) else { return }
            compare("tee \(index) \(other) \(size)") {
                Answer(result: $0.caller.tee($0.numbers[index], $0.numbers[other], size))
            }
        default:
            compare("preadv2 \(index) \(size)") {
                Answer(result: $0.caller.readVector($0.numbers[index], size, flags: CK_RWF_NOWAIT))
            }
        }
    }

    /// A call on a socket, whatever its state.
    mutating func stepConnected(_ random: inout SeededGenerator, upTo most: Int) {
        let index = random.below(count)
        let size = random.size(upTo: most)
        switch random.below(20) {
        case 0...6:
            let bytes = random.bytes(size)
            compare("send \(index) \(size)") { Answer(result: $0.caller.send($0.numbers[index], bytes)) }
        case 7...13:
            let flags = [0, 0, 0, CK_MSG_PEEK, CK_MSG_TRUNC, CK_MSG_WAITALL][random.below(6)]
            // Of a stream, MSG_TRUNC discards the bytes or is ignored, and what is in the buffer is undefined.
            compare("receive \(index) \(size) flags \(flags)") { side in
                let reception = side.caller.receive(side.numbers[index], size, flags)
                return Answer(
                    result: reception.result, bytes: flags == CK_MSG_TRUNC ? [] : reception.bytes,
                    flags: reception.flags, name: side.comparable(reception.sender))
            }
        case 14: read(index, size)
        case 15:
            let how = Int32(random.below(3))
            guard random.below(3) == 0 else { return }
            compare("shutdown \(index) \(how)") { Answer(result: $0.caller.shutdown($0.numbers[index], how)) }
        case 16: if random.below(3) == 0 { close(index) }
        case 17:
            compare("SO_ERROR \(index)") { side in
                let (result, value) = side.caller.option(side.numbers[index], CK_SOL_SOCKET, CK_SO_ERROR)
                return Answer(result: result, flags: UInt32(bitPattern: value))
            }
        default:
            compare("getpeername \(index)") { side in
                let (result, name) = side.caller.peerName(side.numbers[index])
                return Answer(result: result, name: side.comparable(name))
            }
        }
    }

    /// A call on sockets that get names and peers.
    mutating func stepNamed(_ random: inout SeededGenerator, _ domain: Int32, _ type: Int32, upTo most: Int) {
        let (index, other) = (random.below(count), random.below(count))
        switch random.below(16) {
        case 0: bind(index, domain)
        case 1:
            let backlog = random.below(4)
            compare("listen \(index) \(backlog)") { Answer(result: $0.caller.listen($0.numbers[index], backlog)) }
        case 2, 3:
            guard let target = simulated.names[other], real.names[other] != nil else { return bind(other, domain) }
            _ = target
            // A TCP socket that connects to itself is left out: after its close the kernel lets it be bound again,
            // since TIME_WAIT is an object of its own there; and shut down before, it fails where the simulation's
            // succeeds.
            guard index != other || type != CK_SOCK_STREAM || domain == CK_AF_UNIX else { return }
            compare("connect \(index) to \(other)") { side in
                Answer(result: side.caller.connect(side.numbers[index], side.names[other]!))
            }
        case 4: accept(index)
        case 5: if count < 8 { addSocket(domain, type) }
        case 6:
            guard type == CK_SOCK_DGRAM, simulated.names[other] != nil else { return }
            let bytes = random.bytes(random.size(upTo: most))
            compare("sendto \(index) to \(other) \(bytes.count)") { side in
                Answer(result: side.caller.send(side.numbers[index], bytes, to: side.names[other]))
            }
        case 7: if random.below(4) == 0 { disconnect(index) }
        case 8:
            compare("getsockname \(index)") { side in
                let (result, name) = side.caller.localName(side.numbers[index])
                return Answer(result: result, name: side.comparable(name))
            }
        case 9:
            guard type == CK_SOCK_STREAM, domain != CK_AF_UNIX, random.below(4) == 0 else { return }
            compare("SO_LINGER \(index)") { Answer(result: $0.caller.setReset($0.numbers[index])) }
        default: stepConnected(&random, upTo: most)
        }
    }

    private mutating func bind(_ index: Int, _ domain: Int32) {
        let name: SocketAddress =
            switch domain {
            case CK_AF_INET: .v4(.loopback, port: 0)
            case CK_AF_INET6: .v6(.loopback, port: 0)
            default: .unnamed
            }
        compare("bind \(index)") { side in
            let result = side.caller.bind(side.numbers[index], name)
            if result == 0 { side.names[index] = side.caller.localName(side.numbers[index]).name }
            return Answer(result: result)
        }
    }

    private mutating func accept(_ index: Int) {
        compare("accept \(index)") { side in
            let number = side.caller.accept(side.numbers[index])
            if number >= 0 { side.add(number) }
            return Answer(result: min(number, 0))
        }
    }

    private mutating func disconnect(_ index: Int) {
        compare("disconnect \(index)") { Answer(result: $0.caller.disconnect($0.numbers[index])) }
    }
}
