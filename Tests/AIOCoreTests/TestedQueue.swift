import Testing

@testable import AIOCore

/// A queue as a class, whose methods can be called inside expectations.
final class TestedQueue: @unchecked Sendable {
    // @unchecked: only one thread at a time uses it.
    private let queue: UnsafeMutablePointer<EngineQueue>
    let memory = UnsafeMutableRawPointer.allocate(byteCount: 1, alignment: 1)

    init(_ engine: EngineKind, queueDepth: Int, _ configure: (inout EngineConfiguration) -> Void = { _ in }) throws {
        var configuration = EngineConfiguration(queueDepth: queueDepth)
        configure(&configuration)
        let made = try EngineQueue(engine, configuration)
        queue = .allocate(capacity: 1)
        queue.initialize(to: made)
    }

    deinit {
        queue.deinitialize(count: 1)
        queue.deallocate()
        memory.deallocate()
    }

    func prepare(
        _ operation: AIOCore.Operation, context: UInt = 0, deadline: Nanoseconds = .never
    ) throws -> Token {
        let token = queue.pointee.prepare(operation, context: context, deadline: deadline)
        return try #require(token)
    }

    func stage(_ token: Token) { queue.pointee.stage(token) }
    func requestCancel(_ token: Token) { queue.pointee.requestCancel(token) }
    func submit() { queue.pointee.submit() }
    func wait(atLeast count: Int, until deadline: Nanoseconds) -> Int {
        queue.pointee.wait(atLeast: count, until: deadline)
    }
    func turn() { queue.pointee.turn() }
    func turn(until deadline: Nanoseconds) { queue.pointee.turn(until: deadline) }
    var nextDeadline: Nanoseconds { queue.pointee.nextDeadline }
    func popReady() -> Delivery? { queue.pointee.popReady() }
    /// Drains all ready completions.
    func drain() -> [Delivery] {
        var deliveries: [Delivery] = []
        while let delivery = queue.pointee.popReady() { deliveries.append(delivery) }
        return deliveries
    }
    func exportDescriptor() -> Int32 { queue.pointee.exportDescriptor() }
}
