package import AIOCore
internal import CKernel

/// Calls that transfer fewer bytes than the caller asked for, or other bytes than the file has.
extension CallForm {
    /// Executes the call with a smaller number of bytes: what `limit` returns for the call's own. Of several buffers
    /// the first alone is transferred. A call that transfers no bytes is executed as it is.
    package func execute(_ call: SystemCall, limit: (Int) -> Int, by execute: (SystemCall) -> Int) -> Int {
        for (index, argument) in arguments.enumerated() {
            switch argument {
            case .byteCount:
                var call = call
                call[index] = limit(call[index])
                return execute(call)
            case .vectors:
                return withFirst(at: call[index], count: call[index + 1], limit) { vector in
                    var call = call
                    if let vector { (call[index], call[index + 1]) = (Int(bitPattern: vector), 1) }
                    return execute(call)
                }
            case .message:
                // Sound: the kernel would read the same header, unless it is nowhere, which the kernel then says.
                guard let header = UnsafeMutablePointer<ck_message>(bitPattern: call[index]) else { break }
                let (vectors, count) = (header.pointee.vectors, header.pointee.vector_count)
                return withFirst(at: Int(bitPattern: vectors), count: Int(clamping: count), limit) { vector in
                    guard let vector else { return execute(call) }
                    // The header is the caller's own during the call, which also writes to it: back to what it was.
                    (header.pointee.vectors, header.pointee.vector_count) = (vector, 1)
                    defer { (header.pointee.vectors, header.pointee.vector_count) = (vectors, count) }
                    return execute(call)
                }
            default: break
            }
        }
        return execute(call)
    }

    /// Calls `body` with a copy of the first of the vectors, made shorter; nil if there is none.
    private func withFirst(
        at address: Int, count: Int, _ limit: (Int) -> Int, _ body: (UnsafeMutablePointer<iovec>?) -> Int
    ) -> Int {
        // Sound: the kernel would read the same array, unless it is nowhere, which the kernel then says.
        guard let first = UnsafePointer<iovec>(bitPattern: address), count > 0 else { return body(nil) }
        var vector = first.pointee
        vector.iov_len = limit(vector.iov_len)
        return withUnsafeMutablePointer(to: &vector) { body($0) }
    }

    /// Makes a bit wrong of what a call has read, which returned `result`. `draw` returns a random number below its
    /// argument.
    package func flipBit(of call: SystemCall, _ result: Int, draw: (Int) -> Int) {
        guard result > 0, isRead || number == CK_NR_recvfrom else { return }
        let bit = draw(result * 8)
        let mask = UInt8(1) << UInt8(bit % 8)
        guard arguments.indices.contains(1), case .vectors = arguments[1] else {
            // Sound: the kernel has just written there.
            UnsafeMutablePointer<UInt8>(bitPattern: call.b)?[bit / 8] ^= mask
            return
        }
        // Sound: the kernel has just read the array, and written to where it leads.
        let vectors = UnsafeBufferPointer(start: UnsafePointer<iovec>(bitPattern: call.b), count: call.c)
        var index = bit / 8
        for vector in vectors {
            guard index >= vector.iov_len else {
                vector.iov_base?.assumingMemoryBound(to: UInt8.self)[index] ^= mask
                return
            }
            index -= vector.iov_len
        }
    }
}

extension SystemCall {
    package subscript(index: Int) -> Int {
        get { [a, b, c, d, e, f][index] }
        set {
            var arguments = [a, b, c, d, e, f]
            arguments[index] = newValue
            self = SystemCall(
                number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
                arguments[5])
        }
    }
}
