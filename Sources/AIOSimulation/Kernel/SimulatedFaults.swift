internal import AIO
internal import AIOCore
internal import CKernel
internal import FaultInjection

extension SimulatedFault {
    var rule: FaultRule {
        let action: FaultRule.Action =
            switch effect {
            case .error(let errno): .fail(errno.rawValue)
            case .short: .half
            case .bitFlip: .flip
            case .hang: .hang
            case .slow(let time): .slow(time.nanoseconds)
            }
        let happens: FaultRule.Occurrence =
            switch occurrence {
            case .nth(let number): .nth(number)
            case .oneIn(let count): .oneIn(count)
            case .always: .always
            }
        return FaultRule(
            name: call.map { Array($0.utf8) }, path.map { .beginning(Array($0.utf8)) } ?? .everywhere, happens, action)
    }
}

extension SimulatedKernel {
    /// Performs a call, with what the faults of the run make of it.
    func performWithFaults(_ call: SystemCall) -> Int {
        if resumed != nil, let result = goOnHanging(call) { return result }
        if hasStalls, let result = answerStalled(call) { return result }
        guard !faults.isEmpty, let form = CallForm.of(call.number) else { return perform(call) }
        let action = faults.action(on: form, names(of: call, form)) { world.random.below($0) }
        switch action {
        case nil: return perform(call)
        case .hang: return hang(call, for: nil)
        case .slow(let time): return hang(call, for: time)
        case .fail(let errno): return failFileCall(call, with: errno)
        case .short(let count): return form.execute(call, limit: { min($0, count) }, by: perform)
        case .half: return form.execute(call, limit: { $0 - $0 / 2 }, by: perform)
        case .flip:
            let result = perform(call)
            form.flipBit(of: call, result) { world.random.below($0) }
            return result
        }
    }

    /// The names of the files that a call is on: a path as the call has it, or a description's name.
    private func names(of call: SystemCall, _ form: CallForm) -> [[UInt8]] {
        var names: [[UInt8]] = []
        for (index, argument) in form.arguments.enumerated() {
            switch argument {
            case .descriptor:
                if let name = descriptors[call[index]]?.name { names.append(Array(name.utf8)) }
            case .path, .pathFromAnywhere:
                guard let path = UnsafePointer<CChar>(bitPattern: call[index]) else { continue }
                let text = String(cString: path)
                let directory = argument == .path && !text.hasPrefix("/") ? descriptors[call[index - 1]]?.name : nil
                let name = directory.map { text.isEmpty ? $0 : "\($0)/\(text)" } ?? text
                names.append(Array(name.utf8))
            default: break
            }
        }
        return names
    }
}
