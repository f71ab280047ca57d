internal import CKernel

/// The files registered with a queue, for execution by system call: kept open as duplicates, so that the caller may
/// close its own descriptors.
struct RegisteredFiles: ~Copyable {
    private var numbers = UnsafeMutableBufferPointer<Int32>(start: nil, count: 0)

    deinit { Self.release(numbers) }

    /// Returns 0, -EBUSY, -EINVAL, -EBADF or -EMFILE. A number of -1 leaves its index empty.
    mutating func register(_ files: UnsafeBufferPointer<Int32>) -> Int {
        guard numbers.isEmpty else { return -Int(EBUSY) }
        guard !files.isEmpty else { return -Int(EINVAL) }
        numbers = .allocate(capacity: files.count)
        numbers.initialize(repeating: -1)
        for index in files.indices where files[index] != -1 {
            let number = Kernel.duplicate(files[index], from: Kernel.guestNumbers())
            guard number >= 0 else {
                release()
                return number
            }
            numbers[index] = Int32(number)
        }
        return 0
    }

    /// Returns 0, or -ENXIO if nothing is registered.
    mutating func unregister() -> Int {
        guard !numbers.isEmpty else { return -Int(ENXIO) }
        release()
        return 0
    }

    /// The descriptor with its number instead of a registered index. nil for an index without a file.
    @inline(__always)
    func resolve(_ descriptor: Descriptor) -> Descriptor? {
        guard descriptor.isRegistered else { return descriptor }
        let index = Int(descriptor.number)
        guard numbers.indices.contains(index), numbers[index] >= 0 else { return nil }
        var resolved = descriptor
        resolved.number = numbers[index]
        resolved.isRegistered = false
        return resolved
    }

    /// The operation with descriptor numbers instead of registered indices, which outside of a ring would be taken for
    /// numbers. An index without a file becomes -1.
    func resolve(_ operation: Operation) -> Operation {
        var operation = operation
        if let descriptor = operation.descriptor, descriptor.isRegistered {
            operation = operation.on(resolve(descriptor) ?? Descriptor(-1))
        }
        if let other = operation.otherDescriptor, other.isRegistered {
            operation = operation.onOther(resolve(other) ?? Descriptor(-1))
        }
        return operation
    }

    private mutating func release() {
        Self.release(numbers)
        numbers = .init(start: nil, count: 0)
    }

    private static func release(_ numbers: UnsafeMutableBufferPointer<Int32>) {
        assert(numbers.allSatisfy { $0 >= -1 }, "an errno is registered as a number")
        for number in numbers where number >= 0 { Kernel.close(number) }
        numbers.deallocate()
    }
}
