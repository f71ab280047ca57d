import AIOCore
import CKernel
import Glibc

/// Disk reads on a plain epoll loop, next to its connections.
protocol BesideEpoll: AnyObject {
    /// Readable when a turn has something to do; nil if every turn of the loop has.
    var descriptor: Int32? { get }
    func begin() throws
    func takeTurn() throws
}

/// A plain epoll loop: the baseline for all other servers.
///
/// Level-triggered; each connection is added once. When a send does not fit, the rest waits for EPOLLOUT.
final class EpollEchoServer {
    private let epoll: OpenDescriptor
    private let listener: OpenDescriptor
    private let beside: (any BesideEpoll)?
    private let buffer = BlockMemory(blockSize: EpollEchoServer.bufferSize, count: 1)
    /// Unsent bytes, by connection.
    private var rests: [Int32: ArraySlice<UInt8>] = [:]

    private static let bufferSize = 65536
    private static let eventCount = 256

    init(_ beside: (any BesideEpoll)?) throws {
        listener = try Loopback.listen()
        let made = Kernel.epollCreate()
        guard made >= 0 else { throw Failure("epoll_create1", result: made) }
        epoll = OpenDescriptor(owning: Int32(made))
        self.beside = beside
        try watch(listener.number, CK_EPOLL_CTL_ADD, CK_POLLIN)
        if let descriptor = beside?.descriptor { try watch(descriptor, CK_EPOLL_CTL_ADD, CK_POLLIN) }
    }

    /// Runs until the process ends.
    func run() throws -> Never {
        try beside?.begin()
        try Announcement.make(listener.number)
        let events = UnsafeMutablePointer<ck_epoll_event>.allocate(capacity: Self.eventCount)
        let isBusy = beside != nil && beside?.descriptor == nil
        while true {
            let count = Kernel.epollWait(epoll.number, events, Self.eventCount, until: isBusy ? 0 : .never)
            for index in 0..<max(count, 0) { try handle(Int32(truncatingIfNeeded: events[index].data)) }
            if isBusy { try beside?.takeTurn() }
        }
    }

    private func handle(_ descriptor: Int32) throws {
        if descriptor == listener.number {
            try acceptAll()
        } else if descriptor == beside?.descriptor {
            try beside?.takeTurn()
        } else if !rests.isEmpty, let rest = rests[descriptor] {
            try send(rest, to: descriptor)
        } else {
            try echo(descriptor)
        }
    }

    private func acceptAll() throws {
        while true {
            let result = Kernel.accept4(listener.number, nil, nil, CK_SOCK_CLOEXEC)
            if result == -Int(EAGAIN) { return }
            // A connection that ended in the backlog is the client's to report.
            if result == -Int(EINTR) || result == -Int(ECONNABORTED) { continue }
            guard result >= 0 else { throw Failure("accept", result: result) }
            Loopback.sendAtOnce(Int32(result))
            try watch(Int32(result), CK_EPOLL_CTL_ADD, CK_POLLIN)
        }
    }

    private func echo(_ connection: Int32) throws {
        let count = Kernel.receive(connection, buffer[0], Self.bufferSize, CK_MSG_DONTWAIT)
        if count == -Int(EAGAIN) || count == -Int(EINTR) { return }
        guard count > 0 else { return close(connection) }
        let sent = Kernel.send(connection, buffer[0], count, CK_MSG_DONTWAIT | CK_MSG_NOSIGNAL)
        if sent == count { return }
        if sent < 0, sent != -Int(EAGAIN) { return close(connection) }
        let rest = UnsafeRawBufferPointer(start: buffer[0], count: count)[max(sent, 0)...]
        rests[connection] = Array(rest)[...]
        try watch(connection, CK_EPOLL_CTL_MOD, CK_POLLOUT)
    }

    private func send(_ rest: ArraySlice<UInt8>, to connection: Int32) throws {
        let sent = rest.withUnsafeBytes {
            Kernel.send(connection, $0.baseAddress, $0.count, CK_MSG_DONTWAIT | CK_MSG_NOSIGNAL)
        }
        if sent == -Int(EAGAIN) { return }
        guard sent >= 0 else { return close(connection) }
        rests[connection] = rest.dropFirst(sent)
        guard sent == rest.count else { return }
        rests[connection] = nil
        try watch(connection, CK_EPOLL_CTL_MOD, CK_POLLIN)
    }

    private func close(_ connection: Int32) {
        rests[connection] = nil
        Kernel.close(connection)
    }

    private func watch(_ descriptor: Int32, _ action: Int32, _ events: UInt32) throws(Failure) {
        let result = Kernel.epollControl(
            epoll.number, action, descriptor, events, UInt64(UInt32(bitPattern: descriptor)))
        guard result >= 0 else { throw Failure("epoll_ctl", result: result) }
    }
}
