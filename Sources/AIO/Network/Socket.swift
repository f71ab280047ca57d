public import AIOCore
internal import CKernel

/// What all sockets have: a local address and options.
///
/// The calls run on the calling thread and do not wait, except for ``close()``. They throw ``IOError/Code/fileClosed``
/// after a close.
public protocol Socket: Sendable {
    /// The runtime that carries out the socket's operations.
    var runtime: IORuntime { get }
    /// For operations on an ``IOQueue``, or through ``IORuntime/perform(_:deadline:)``. Borrowed: do not close it, and
    /// do not use it after the socket is closed.
    var descriptor: Descriptor { get }
    /// The local address, including the port or name that the kernel chose. Kernel call: getsockname(2).
    func localAddress() throws(IOError) -> SocketAddress
    /// The value of an option, at most `capacity` bytes of it (up to 64 KiB). Kernel call: getsockopt(2).
    func rawOption(level: Int32, name: Int32, capacity: Int) throws(IOError) -> [UInt8]
    /// Sets an option to these bytes. Kernel call: setsockopt(2).
    func setRawOption(level: Int32, name: Int32, to bytes: [UInt8]) throws(IOError)
    /// Ends the operations that wait, which throw ``IOError/Code/fileClosed``, and closes the socket.
    func close() async throws(IOError)
}

extension Socket {
    /// The value of an option. Kernel call: getsockopt(2).
    ///
    /// - Throws: ``IOError/Code/invalidArgument`` if the kernel returns a value of another size; `ENOPROTOOPT`
    ///   (``IOError/errno``) for an option that the socket does not have; ``IOError/Code/fileClosed``.
    public func option<Value>(_ option: SocketOption<Value>) throws(IOError) -> Value {
        let bytes = try rawOption(level: option.level, name: option.name, capacity: option.size)
        guard let value = option.decode(bytes) else {
            let advice = "the value has \(bytes.count) bytes instead of \(option.size)"
            throw IOError(.invalidArgument, "getsockopt", advice: advice)
        }
        return value
    }

    /// Sets an option. Kernel call: setsockopt(2).
    ///
    /// - Throws: ``IOError/Code/invalidArgument`` for a value that is out of range or that the kernel refuses;
    ///   `ENOPROTOOPT` (``IOError/errno``) for an option that the socket does not have;
    ///   ``IOError/Code/permissionDenied``; ``IOError/Code/fileClosed``.
    public func setOption<Value>(_ option: SocketOption<Value>, to value: Value) throws(IOError) {
        guard let bytes = option.encode(value) else {
            throw IOError(.invalidArgument, "setsockopt", advice: "the value is out of range: \(value)")
        }
        try setRawOption(level: option.level, name: option.name, to: bytes)
    }
}

extension StreamHandle {
    func localAddress() throws(IOError) -> SocketAddress {
        let memory = AddressMemory()
        _ = try call("getsockname") { Kernel.localName($0, memory.base, memory.countPointer) }
        guard let address = memory.address else { throw error(.notSupported, "getsockname") }
        return address
    }

    func rawOption(_ level: Int32, _ name: Int32, _ capacity: Int) throws(IOError) -> [UInt8] {
        // No option is longer, and a number from outside must not allocate any amount of memory.
        guard (0...65536).contains(capacity) else {
            throw error(.invalidArgument, "getsockopt", advice: "the capacity must be 0 to 65536")
        }
        var bytes = [UInt8](repeating: 0, count: max(capacity, 1))
        var count = UInt32(capacity)
        _ = try call("getsockopt") { number in
            bytes.withUnsafeMutableBytes { Kernel.option(number, level, name, $0.baseAddress!, &count) }
        }
        return Array(bytes.prefix(Int(count)))
    }

    func setRawOption(_ level: Int32, _ name: Int32, _ bytes: [UInt8]) throws(IOError) {
        // An empty array may have no address, which the kernel would refuse.
        let memory = bytes.isEmpty ? [0] : bytes
        _ = try call("setsockopt") { number in
            memory.withUnsafeBytes { Kernel.setOption(number, level, name, $0.baseAddress!, UInt32(bytes.count)) }
        }
    }
}

extension Connection {
    /// The local address, including the port or name that the kernel chose. Kernel call: getsockname(2).
    public func localAddress() throws(IOError) -> SocketAddress { try handle.localAddress() }
    /// The value of an option, at most `capacity` bytes of it. Kernel call: getsockopt(2).
    public func rawOption(level: Int32, name: Int32, capacity: Int = 4) throws(IOError) -> [UInt8] {
        try handle.rawOption(level, name, capacity)
    }
    /// Sets an option to these bytes. Kernel call: setsockopt(2).
    public func setRawOption(level: Int32, name: Int32, to bytes: [UInt8]) throws(IOError) {
        try handle.setRawOption(level, name, bytes)
    }
}
