internal import AIOCore
internal import CKernel

/// The calls on extended attributes, for open files and for paths: they manage the memory and the size of the buffers.
struct AttributeCalls {
    /// An open file, or a path.
    enum Target {
        case descriptor(Int32)
        case path(UnsafePointer<CChar>, followLinks: Bool)
    }

    let target: Target
    /// Carries out the operation; the string is its name in errors.
    let perform: (Operation, String) async throws(IOError) -> Int32

    func get(_ name: AttributeName) async throws(IOError) -> [UInt8]? {
        let operation = "getxattr"
        let name = try name.copyCString(for: operation)
        defer { name.deallocate() }
        do throws(IOError) {
            return try await fill(operation) { memory in
                switch target {
                case .descriptor(let number):
                    .getAttribute(number, name: name, value: memory.baseAddress, count: memory.count)
                case .path(let path, let followLinks):
                    .getAttribute(
                        path: path, followLinks: followLinks, name: name, value: memory.baseAddress,
                        count: memory.count)
                }
            }
        } catch {
            guard error.errno == Errno(rawValue: ENODATA) else { throw error }
            return nil
        }
    }

    func list() async throws(IOError) -> [AttributeName] {
        let names = try await fill("listxattr") { memory in
            switch target {
            case .descriptor(let number):
                .listAttributes(number, list: memory.baseAddress, count: memory.count)
            case .path(let path, let followLinks):
                .listAttributes(path: path, followLinks: followLinks, list: memory.baseAddress, count: memory.count)
            }
        }
        return names.split(separator: 0).map { AttributeName(bytes: $0) }
    }

    func set(_ name: AttributeName, _ value: [UInt8], _ mode: AttributeMode) async throws(IOError) {
        let operation = "setxattr"
        let name = try name.copyCString(for: operation)
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: value.count, alignment: 1)
        defer {
            name.deallocate()
            memory.deallocate()
        }
        memory.copyBytes(from: value)
        let call: BlockingCall =
            switch target {
            case .descriptor(let number):
                .setAttribute(number, name: name, value: memory.baseAddress, count: value.count, flags: mode.flags)
            case .path(let path, let followLinks):
                .setAttribute(
                    path: path, followLinks: followLinks, name: name, value: memory.baseAddress, count: value.count,
                    flags: mode.flags)
            }
        _ = try await perform(.call(call), operation)
    }

    func remove(_ name: AttributeName) async throws(IOError) {
        let operation = "removexattr"
        let name = try name.copyCString(for: operation)
        defer { name.deallocate() }
        let call: BlockingCall =
            switch target {
            case .descriptor(let number): .removeAttribute(number, name: name)
            case .path(let path, let followLinks): .removeAttribute(path: path, followLinks: followLinks, name: name)
            }
        _ = try await perform(.call(call), operation)
    }

    /// Tries 1 KiB first, since most values and lists are short, and then 64 KiB, the kernel's maximum
    /// (XATTR_SIZE_MAX).
    private func fill(
        _ operation: String, _ call: (UnsafeMutableRawBufferPointer) -> BlockingCall
    ) async throws(IOError) -> [UInt8] {
        let capacities = [1024, Int(CK_XATTR_SIZE_MAX)]
        for capacity in capacities {
            let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: capacity, alignment: 1)
            defer { memory.deallocate() }
            do throws(IOError) {
                return Array(memory.prefix(Int(try await perform(.call(call(memory)), operation))))
            } catch {
                guard error.errno == Errno(rawValue: ERANGE), capacity != capacities.last else { throw error }
            }
        }
        return []
    }
}

extension AttributeMode {
    fileprivate var flags: Int32 {
        switch self {
        case .createOrReplace: 0
        case .create: CK_XATTR_CREATE
        case .replace: CK_XATTR_REPLACE
        }
    }
}
