internal import AIO
internal import AIOCore
internal import CKernel

/// The faults of a run, and how often each could have happened.
struct FaultPlan {
    private let faults: [SimulatedFault]
    /// By fault, the number of calls that matched.
    private var matches: [Int]

    init(_ faults: [SimulatedFault]) {
        self.faults = faults
        matches = Array(repeating: 0, count: faults.count)
    }

    var isEmpty: Bool { faults.isEmpty }

    /// The effect on a call; nil for none. `line` is the call as a story shows it.
    mutating func effect(on line: String, _ random: inout SimulatedRandom) -> SimulatedFault.Effect? {
        var result: SimulatedFault.Effect?
        for (index, fault) in faults.enumerated() where Self.matches(fault, line) {
            matches[index] += 1
            let happens =
                switch fault.occurrence {
                case .nth(let number): matches[index] == number
                case .oneIn(let count): random.oneIn(max(1, count))
                case .always: true
                }
            if happens, result == nil { result = fault.effect }
        }
        return result
    }

    private static func matches(_ fault: SimulatedFault, _ line: String) -> Bool {
        if let call = fault.call, !line.hasPrefix("\(call)(") { return false }
        guard let path = fault.path else { return true }
        return line.drop { $0 != "(" }.dropFirst().hasPrefix(path)
    }
}

extension SimulatedKernel {
    /// Performs a call to which a fault happens.
    func perform(_ call: SystemCall, with effect: SimulatedFault.Effect) -> Int {
        switch effect {
        case .error(let errno): return failFileCall(call, with: errno.rawValue)
        case .short: return performShortened(call)
        case .bitFlip:
            let result = perform(call)
            flipBit(call, result)
            return result
        }
    }

    /// Performs the call for half of the bytes, and at least one.
    private func performShortened(_ call: SystemCall) -> Int {
        switch call.number {
        case CK_NR_read, CK_NR_write, CK_NR_pread64, CK_NR_pwrite64, CK_NR_sendto, CK_NR_recvfrom:
            return perform(SystemCall(call.number, call.a, call.b, max(1, call.c / 2), call.d, call.e, call.f))
        case CK_NR_preadv2, CK_NR_pwritev2, CK_NR_preadv, CK_NR_pwritev:
            guard let first = UnsafePointer<iovec>(bitPattern: call.b), call.c > 0 else { return perform(call) }
            // The first buffer alone, and half of it.
            var half = first.pointee
            half.iov_len = max(1, half.iov_len / 2)
            return withUnsafePointer(to: &half) { half in
                perform(SystemCall(call.number, call.a, Int(bitPattern: half), 1, call.d, call.e, call.f))
            }
        default: return perform(call)
        }
    }

    private func flipBit(_ call: SystemCall, _ result: Int) {
        guard result > 0 else { return }
        let bit = world.random.below(result * 8)
        switch call.number {
        case CK_NR_read, CK_NR_pread64, CK_NR_recvfrom:
            UnsafeMutablePointer<UInt8>(bitPattern: call.b)?[bit / 8] ^= 1 << UInt8(bit % 8)
        case CK_NR_preadv2, CK_NR_preadv:
            let vectors = UnsafeBufferPointer(start: UnsafePointer<iovec>(bitPattern: call.b), count: call.c)
            var index = bit / 8
            for vector in vectors {
                guard index >= vector.iov_len else {
                    vector.iov_base?.assumingMemoryBound(to: UInt8.self)[index] ^= 1 << UInt8(bit % 8)
                    return
                }
                index -= vector.iov_len
            }
        default: return
        }
    }
}
