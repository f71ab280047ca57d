public import CKernel

/// Registrations with the engine. The queue has no part in them.
extension EngineQueue {
    /// Registers files, for ``Descriptor/registered(_:kind:)``, which saves the kernel a lookup per operation. The
    /// queue keeps them open until they are unregistered. Returns 0 or a negative errno. io_uring_register(2),
    /// IORING_REGISTER_FILES.
    public mutating func register(files: UnsafeBufferPointer<Int32>) -> Int { engine.register(files: files) }
    /// Returns 0, or -ENXIO if nothing is registered.
    public mutating func unregisterFiles() -> Int { engine.unregisterFiles() }

    /// Registers memory, for ``Transfer/bufferIndex``, which saves the kernel pinning it per operation. It counts
    /// against RLIMIT_MEMLOCK. The caller keeps ownership. Returns 0 or a negative errno. io_uring_register(2),
    /// IORING_REGISTER_BUFFERS.
    public mutating func register(buffers: UnsafeBufferPointer<iovec>) -> Int { engine.register(buffers: buffers) }
    /// Returns 0, or -ENXIO if nothing is registered.
    public mutating func unregisterBuffers() -> Int { engine.unregisterBuffers() }
}
