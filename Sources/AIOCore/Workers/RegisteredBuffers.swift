internal import CKernel

/// The memory registered with a queue. Registration gains nothing here; transfers outside of it are refused as the
/// kernel would.
struct RegisteredBuffers: ~Copyable {
    private var vectors = UnsafeMutableBufferPointer<iovec>(start: nil, count: 0)

    deinit { vectors.deallocate() }

    /// Returns 0, -EBUSY or -EINVAL.
    mutating func register(_ buffers: UnsafeBufferPointer<iovec>) -> Int {
        guard vectors.isEmpty else { return -Int(EBUSY) }
        guard !buffers.isEmpty else { return -Int(EINVAL) }
        vectors = .allocate(capacity: buffers.count)
        _ = vectors.initialize(from: buffers)
        return 0
    }

    /// Returns 0, or -ENXIO if nothing is registered.
    mutating func unregister() -> Int {
        guard !vectors.isEmpty else { return -Int(ENXIO) }
        vectors.deallocate()
        vectors = .init(start: nil, count: 0)
        return 0
    }

    /// Whether the transfer lies within the registered buffer that it names, if any.
    @inline(__always)
    func allows(_ operation: Operation) -> Bool {
        guard let transfer = operation.transfer, !transfer.isVectored else { return true }
        return transfer.bufferIndex == Transfer.unregistered || contains(transfer)
    }

    private func contains(_ transfer: Transfer) -> Bool {
        guard Int(transfer.bufferIndex) < vectors.count, let base = vectors[Int(transfer.bufferIndex)].iov_base else {
            return false
        }
        let start = Int(bitPattern: transfer.base) &- Int(bitPattern: base)
        return start >= 0 && transfer.count >= 0
            && start <= vectors[Int(transfer.bufferIndex)].iov_len - transfer.count
    }
}
