import AIOCore
import CKernel
import Glibc

/// Generates load on an echo server: each connection has one message in flight at a time. The client is a plain epoll
/// loop and is the same for all servers, so that the bench compares only the servers. It checks every byte that comes
/// back.
final class EchoClient {
    private struct Exchange {
        let socket: Int32
        /// The message's number, which selects its content.
        var sequence = 0
        var start: Nanoseconds = 0
        /// Bytes.
        var sent = 0
        var received = 0
        var isUnderWay = false
    }

    /// Starts round trips at a fixed rate, evenly spaced and round-robin over the connections.
    private struct Pace {
        let interval: Nanoseconds
        /// When the next round trip is due.
        var due: Nanoseconds
        /// The connection of the next round trip.
        var index = 0
    }

    private let size: Int
    /// nil: a new round trip begins as soon as the previous one on its connection ends.
    private let rate: Int?
    private let epoll: OpenDescriptor
    private var exchanges: [Exchange] = []
    private let buffer: BlockMemory
    /// Message contents. A message starts at one of the first `messageCount` bytes.
    private let bytes: [UInt8]
    private let events: UnsafeMutablePointer<ck_epoll_event>
    private var underWayCount = 0
    /// Whether round trips that were due could not begin.
    private var isHeldUp = false

    private static let eventCount = 256
    private static let messageCount = 251
    /// How long the server may be silent.
    private static let patience: Nanoseconds = 10_000_000_000

    /// Connects. `size` is in bytes; `rate` is in messages per second over all connections together.
    init(to server: LoopbackAddress, connections: Int, size: Int, rate: Int? = nil) throws {
        self.size = size
        self.rate = rate
        let made = Kernel.epollCreate()
        guard made >= 0 else { throw Failure("epoll_create1", result: made) }
        epoll = OpenDescriptor(owning: Int32(made))
        buffer = BlockMemory(blockSize: size, count: 1)
        bytes = (0..<(size + Self.messageCount)).map { UInt8(truncatingIfNeeded: mixed(UInt64($0))) }
        events = .allocate(capacity: Self.eventCount)
        for index in 0..<connections {
            try Interruption.check()
            let socket = try Loopback.connect(to: server)
            let added = Kernel.epollControl(
                epoll.number, CK_EPOLL_CTL_ADD, socket.number, CK_POLLIN, UInt64(index))
            guard added >= 0 else { throw Failure("epoll_ctl", result: added) }
            exchanges.append(Exchange(socket: socket.release(), sequence: index))
        }
    }

    deinit {
        for exchange in exchanges { Kernel.close(exchange.socket) }
        events.deallocate()
    }

    /// Exchanges messages until `deadline`, then waits for the outstanding answers. Returns the times of all answered
    /// messages.
    func run(until deadline: Nanoseconds) throws -> Recorder.Times {
        var times = Recorder.Times()
        var heardLast = Kernel.now()
        var pace = rate.map { Pace(interval: 1_000_000_000 / Nanoseconds($0), due: heardLast) }
        if pace == nil { for index in exchanges.indices { try begin(index, Kernel.now()) } }
        while true {
            try Interruption.check()
            let due = try beginDue(&pace, deadline)
            if underWayCount == 0, due == .never { return times }
            let count = Kernel.epollWait(
                epoll.number, events, Self.eventCount, until: min(due, heardLast + Self.patience))
            let now = Kernel.now()
            if count > 0 || underWayCount == 0 {
                heardLast = now
            } else if now >= heardLast + Self.patience {
                throw Failure("no answer from the server for 10 s")
            }
            for event in 0..<max(count, 0) { try handle(events[event], deadline, &times) }
        }
    }

    /// Begins the round trips that are due. Returns when the next one is due; `never` if none is left, or if its
    /// connection still waits for an answer.
    private func beginDue(_ pace: inout Pace?, _ deadline: Nanoseconds) throws -> Nanoseconds {
        guard var current = pace else { return .never }
        defer { pace = current }
        let now = Kernel.now()
        while current.due < deadline {
            guard current.due <= now else { return current.due }
            if exchanges[current.index].isUnderWay {
                isHeldUp = true
                return .never
            }
            // A round trip that a late answer delayed counts from when it was due (no coordinated omission).
            try begin(current.index, isHeldUp ? current.due : now)
            if current.due + current.interval > now { isHeldUp = false }
            current.due += current.interval
            current.index = (current.index + 1) % exchanges.count
        }
        return .never
    }

    private func handle(_ event: ck_epoll_event, _ deadline: Nanoseconds, _ times: inout Recorder.Times) throws {
        let index = Int(event.data)
        if event.events & CK_POLLOUT != 0 { try send(index) }
        guard event.events & ~CK_POLLOUT != 0, try receive(index) else { return }
        let now = Kernel.now()
        times.record(now &- exchanges[index].start)
        exchanges[index].isUnderWay = false
        underWayCount -= 1
        if rate == nil, now < deadline { try begin(index, now) }
    }

    private func begin(_ index: Int, _ now: Nanoseconds) throws {
        let sequence = exchanges[index].sequence + 1
        exchanges[index].sequence = sequence
        exchanges[index].start = now
        exchanges[index].sent = 0
        exchanges[index].received = 0
        exchanges[index].isUnderWay = true
        underWayCount += 1
        try send(index)
    }

    private func message(_ exchange: Exchange) -> Int { exchange.sequence % Self.messageCount }

    private func send(_ index: Int) throws {
        let exchange = exchanges[index]
        let result = bytes.withUnsafeBytes { bytes in
            Kernel.send(
                exchange.socket, bytes.baseAddress.map { $0 + message(exchange) + exchange.sent },
                size - exchange.sent, CK_MSG_DONTWAIT | CK_MSG_NOSIGNAL)
        }
        guard result >= 0 || result == -Int(EAGAIN) else { throw Failure("send", result: result) }
        exchanges[index].sent += max(result, 0)
        let hasRest = exchanges[index].sent < size
        // Only a message that was not sent in one call needs EPOLLOUT, or has it to remove.
        guard hasRest || exchange.sent > 0 else { return }
        let events = hasRest ? CK_POLLIN | CK_POLLOUT : CK_POLLIN
        _ = Kernel.epollControl(epoll.number, CK_EPOLL_CTL_MOD, exchange.socket, events, UInt64(index))
    }

    /// Returns true if the message is complete.
    private func receive(_ index: Int) throws -> Bool {
        let exchange = exchanges[index]
        let result = Kernel.receive(exchange.socket, buffer[0], size, CK_MSG_DONTWAIT)
        if result == -Int(EAGAIN) { return false }
        guard result != 0 else { throw Failure("the server closed a connection") }
        guard result > 0 else { throw Failure("recv", result: result) }
        let isRight = bytes.withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress, exchange.received + result <= exchange.sent else { return false }
            return memcmp(buffer[0], start + message(exchange) + exchange.received, result) == 0
        }
        guard isRight else { throw Failure("the server sent back other data than it received") }
        exchanges[index].received += result
        return exchanges[index].received == size
    }
}
