internal import AIO
internal import AIOCore
internal import CKernel
internal import FaultInjection

extension SimulatedFault {
    var rule: FaultRule {
        let happens: FaultRule.Occurrence =
            switch occurrence {
            case .nth(let number): .nth(number)
            case .oneIn(let count): .oneIn(count)
            case .always: .always
            }
        let place: FaultRule.Place =
            if let path { isWholeName ? .exactly(Array(path.utf8)) : .beginning(Array(path.utf8)) } else { .everywhere }
        return FaultRule(name: call.map { Array($0.utf8) }, place, happens, effect.action)
    }
}

extension SimulatedKernel {
    /// Performs a call, with what the faults of the run make of it.
    func performWithFaults(_ call: SystemCall) -> Int {
        if resumed != nil, let result = goOnHanging(call) { return result }
        if hasStalls, let result = answerStalled(call) { return result }
        guard !faults.isEmpty, let form = CallForm.of(call.number) else { return perform(call) }
        let files = names(of: call, form)
        if let result = answerStalled(call, form, files) { return result }
        let number = faultLog.count(form, files)
        // Chance has a sequence of its own: a plan of the same faults leaves the run as it was.
        let action = faults.action(on: form, files) { world.faultRandom.below($0) }
        if let action { faultLog.add(SimulatedFault.Effect(action), form, files, number, world) }
        switch action {
        case nil: return perform(call)
        case .hang: return hang(call, form, files, for: nil)
        case .slow(let time): return hang(call, form, files, for: time)
        case .fail(let errno): return failFileCall(call, with: errno)
        case .short(let count): return form.execute(call, limit: { min($0, count) }, by: perform)
        case .half: return form.execute(call, limit: { $0 - $0 / 2 }, by: perform)
        case .flip:
            let result = perform(call)
            // By the place alone, for the same reason.
            var random = SimulatedRandom(seed: world.trace.seed &+ UInt64(number))
            form.flipBit(of: call, result) { random.below($0) }
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
