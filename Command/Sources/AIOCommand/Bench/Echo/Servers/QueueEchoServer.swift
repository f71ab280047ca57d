import AIO
import AIOCore
import CKernel
import Glibc

/// A completion loop over this library's `IOQueue`: each connection has one receive or one send in flight.
final class QueueEchoServer {
    /// What a completion is for, in the low two bits of its context. The connection or block is in the bits above.
    private enum Purpose: UInt {
        case accept, receive, send, disk
    }

    private struct Connection {
        var descriptor: Descriptor
        /// Progress of the current send: bytes sent, of `count`.
        var sent = 0
        var count = 0
    }

    private let queue: IOQueue
    private let listener: OpenDescriptor
    private let buffers: BlockMemory
    private let connections: UnsafeMutablePointer<Connection>
    private var free: [Int]
    private let disk: DiskReading?

    private static let bufferSize = 16384

    init(_ engine: EngineKind, connections count: Int, _ disk: DiskReading?) throws {
        // Closing and new connections can overlap.
        let capacity = 2 * count + 16
        var configuration = IOQueue.Configuration()
        configuration.engine = .forced(engine)
        configuration.queueDepth = min(capacity + 1 + (disk?.depth ?? 0), EngineConfiguration.queueDepthMax)
        queue = try IOQueue(configuration)
        listener = try Loopback.listen()
        buffers = BlockMemory(blockSize: Self.bufferSize, count: capacity)
        connections = .allocate(capacity: capacity)
        connections.initialize(repeating: Connection(descriptor: Descriptor(-1)), count: capacity)
        free = Array((0..<capacity).reversed())
        self.disk = disk
    }

    /// Runs until the process ends.
    func run() throws -> Never {
        try Announcement.make(listener.number)
        try prepareAccept()
        for slot in 0..<(disk?.depth ?? 0) { try prepareRead(slot) }
        while true {
            try queue.wait(atLeast: 1)
            var failure: (any Error)?
            queue.drain { completion, context in
                do { try handle(completion.result, context) } catch { failure = error }
            }
            if let failure { throw failure }
        }
    }

    private func handle(_ result: Int32, _ context: UInt) throws {
        let index = Int(context >> 2)
        switch Purpose(rawValue: context & 3) {
        case .accept: try accepted(result)
        case .receive: try received(result, index)
        case .send: try sent(result, index)
        case .disk: try read(result, index)
        case nil: break
        }
    }

    private func prepare(_ operation: Operation, _ purpose: Purpose, _ index: Int) throws {
        try queue.prepare(operation, context: UInt(index) << 2 | purpose.rawValue)
    }

    // MARK: Connections

    private func prepareAccept() throws {
        let call = SocketCall.accept(
            Descriptor(listener.number, kind: .stream), address: nil, count: nil, flags: CK_SOCK_CLOEXEC)
        try prepare(.socket(call), .accept, 0)
    }

    private func accepted(_ result: Int32) throws {
        guard result >= 0 else { throw Failure("accept", result: Int(result)) }
        guard let index = free.popLast() else { throw Failure("more connections than --connections") }
        Loopback.sendAtOnce(result)
        connections[index] = Connection(descriptor: Descriptor(result, kind: .stream))
        try prepareReceive(index)
        try prepareAccept()
    }

    private func prepareReceive(_ index: Int) throws {
        let call = SocketCall.receive(
            connections[index].descriptor, buffers[index], count: Self.bufferSize, flags: 0)
        try prepare(.socket(call), .receive, index)
    }

    private func received(_ result: Int32, _ index: Int) throws {
        guard result > 0 else { return close(index) }
        connections[index].sent = 0
        connections[index].count = Int(result)
        try prepareSend(index)
    }

    private func prepareSend(_ index: Int) throws {
        let (sent, count) = (connections[index].sent, connections[index].count)
        let call = SocketCall.send(
            connections[index].descriptor, buffers[index] + sent, count: count - sent, flags: 0)
        try prepare(.socket(call), .send, index)
    }

    private func sent(_ result: Int32, _ index: Int) throws {
        guard result > 0 else { return close(index) }
        connections[index].sent += Int(result)
        if connections[index].sent < connections[index].count {
            try prepareSend(index)
        } else {
            try prepareReceive(index)
        }
    }

    private func close(_ index: Int) {
        Kernel.close(connections[index].descriptor.number)
        free.append(index)
    }

    // MARK: The disk

    private func prepareRead(_ slot: Int) throws {
        guard let disk else { return }
        let transfer = try disk.next(slot)
        try prepare(.read(transfer), .disk, slot)
    }

    private func read(_ result: Int32, _ slot: Int) throws {
        try disk?.finish(slot, Int(result))
        try prepareRead(slot)
    }
}
