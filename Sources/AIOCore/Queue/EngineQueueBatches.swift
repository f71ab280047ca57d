/// What concerns many operations at once.
extension EngineQueue {
    /// Requests cancellation of all operations in flight on a descriptor; with nil, of all on this queue, except
    /// `exempt`. Returns the number of operations newly asked.
    @discardableResult
    public mutating func requestCancelAll(on descriptor: Descriptor? = nil, except exempt: Token? = nil) -> Int {
        var count = 0
        for index in 0..<table.capacity {
            guard let token = table.submittedToken(at: index), token != exempt else { continue }
            if let descriptor, !table[token].pointee.operation.isOn(descriptor) { continue }
            if requestCancel(token) == 0 { count += 1 }
        }
        return count
    }

    /// Hands prepared operations to the engine, oldest first.
    public mutating func stage(_ tokens: UnsafeBufferPointer<Token>) {
        for token in tokens { stage(token) }
    }

    /// Passes each ready completion to `body`, oldest first; without any, takes a turn first. Returns their number. The
    /// queue is given by address, since `body` may use it.
    public static func drain(
        _ queue: UnsafeMutablePointer<EngineQueue>, _ body: (Completion, UInt) -> Void
    ) -> Int {
        // A caller of an exported descriptor relies on a turn for each of its wake-ups.
        if queue.pointee.readyCount == 0 || queue.pointee.isExported { queue.pointee.turn() }
        var count = 0
        while let delivery = queue.pointee.popReady() {
            body(delivery.completion, delivery.context)
            count += 1
        }
        return count
    }

    /// Moves completions out, oldest first, as many as fit. Their buffers belong to the caller again.
    public mutating func drain(into deliveries: UnsafeMutableBufferPointer<Delivery>) -> Int {
        var count = 0
        while count < deliveries.count, let delivery = popReady() {
            deliveries.initializeElement(at: count, to: delivery)
            count += 1
        }
        return count
    }

    /// Discards all ready completions, before the queue is destroyed: closes descriptors that nobody will take.
    public mutating func discardReady() {
        while let delivery = ready.popFirst() {
            let token = delivery.completion.token
            if table[token].pointee.operation.makesDescriptor, delivery.completion.result >= 0 {
                Kernel.close(delivery.completion.result)
            }
            countOut(delivery)
        }
    }
}
