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

    /// Moves completions out, oldest first, as many as fit. Their buffers belong to the caller again.
    public mutating func drain(into deliveries: UnsafeMutableBufferPointer<Delivery>) -> Int {
        var count = 0
        while count < deliveries.count, let delivery = popReady() {
            deliveries.initializeElement(at: count, to: delivery)
            count += 1
        }
        return count
    }
}
