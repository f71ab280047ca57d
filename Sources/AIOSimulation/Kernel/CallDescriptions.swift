internal import AIO
internal import AIOCore
internal import CKernel
internal import FaultInjection

/// System calls as a trace shows them: `fsync(/data/log) = 0`.
enum CallDescriptions {
    /// Calls of the engine itself, which happen at every turn, or because another simulation holds a lock: no part of
    /// the trace.
    static func isOfEngine(_ number: Int) -> Bool {
        switch number {
        case CK_NR_epoll_pwait, CK_NR_epoll_pwait2, CK_NR_epoll_ctl, CK_NR_epoll_create1, CK_NR_timerfd_create,
            CK_NR_timerfd_gettime, CK_NR_timerfd_settime, CK_NR_prlimit64, CK_NR_futex:
            true
        default: false
        }
    }

    /// A line without the result. Made before the call, which may close a descriptor.
    static func line(_ call: SystemCall, _ kernel: SimulatedKernel) -> String {
        guard let form = CallForm.of(call.number) else { return "call \(call.number)" }
        let shown = form.arguments.enumerated().compactMap { index, argument in
            text(of: argument, call[index], kernel)
        }
        return "\(form.name)(\(shown.joined(separator: ", ")))"
    }

    /// nil for what is not shown: addresses, which differ from run to run, and the working directory.
    private static func text(
        of argument: CallForm.Argument, _ value: Int, _ kernel: SimulatedKernel
    ) -> String? {
        switch argument {
        case .descriptor: kernel.descriptors[value]?.name ?? "\(Int32(truncatingIfNeeded: value))"
        case .directory:
            Int32(truncatingIfNeeded: value) == CK_AT_FDCWD ? nil : kernel.descriptors[value]?.name ?? "?"
        case .path, .pathFromAnywhere, .text:
            UnsafePointer<CChar>(bitPattern: value).map { String(cString: $0) }
        case .number, .byteCount: "\(value)"
        case .vectors, .message, .address, .either: nil
        }
    }

    /// The call with 0 in place of addresses at which no memory can be (vm.mmap_min_addr), as a kernel's access to them
    /// fails.
    static func withoutBadAddresses(_ call: SystemCall) -> SystemCall {
        var values = (0..<6).map { call[$0] }
        guard values.contains(where: { SimulatedKernel.isNowhere(UInt(bitPattern: $0)) }),
            let form = CallForm.of(call.number)
        else { return call }
        for (index, argument) in form.arguments.enumerated() {
            switch argument {
            case .path, .pathFromAnywhere, .text, .vectors, .message, .address:
                if SimulatedKernel.isNowhere(UInt(bitPattern: values[index])) { values[index] = 0 }
            case .descriptor, .directory, .number, .byteCount, .either: break
            }
        }
        return SystemCall(call.number, values[0], values[1], values[2], values[3], values[4], values[5])
    }

    static func result(_ result: Int) -> String {
        if result == KernelStandIn.wouldBlock { return "would block" }
        guard (-4095..<0).contains(result) else { return "\(result)" }
        return "\(Errno(rawValue: Int32(-result)))"
    }
}
